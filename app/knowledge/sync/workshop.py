"""Makes connectors ready to work: settings, secrets in the clear, an HTTP client under the connector's rate limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from app.db.tables import ConnectorRow
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.sources import Sources
from connectors.contract import Connector, Context
from connectors.http import Http

ToldProgress = Callable[..., None]


class Workshop:
    def __init__(
        self, sources: Sources, credentials: Credentials, clock: Callable[[], datetime]
    ) -> None:
        self._sources = sources
        self._credentials = credentials
        self._clock = clock

    @contextmanager
    def connector(
        self,
        row: ConnectorRow,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        progress: ToldProgress = lambda *_: None,
        timeout_s: float = 30.0,
    ) -> Iterator[Connector]:
        """Raises InputError for settings that no longer fit, SealBroken, NotFound."""
        http = Http(
            requests_per_minute=row.requests_per_minute, cancelled=cancelled, timeout_s=timeout_s
        )
        context = Context(http=http, cancelled=cancelled, progress=progress, clock=self._clock)
        try:
            secrets = self._credentials.open(row.credential_id)
            yield self._sources.connector(row.kind, row.settings, secrets, context)
        finally:
            http.close()
