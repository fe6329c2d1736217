"""Adding a source and changing it: what is checked before it is stored, and who is recorded to have done it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app.db.engine import Database
from app.db.tables import ConnectorRow
from app.domain import Person
from app.errors import InputError, NotFound
from app.knowledge.sync import clocks
from app.knowledge.sync.clocks import CONTENT
from app.knowledge.sync.credentials import Credentials
from app.knowledge.sync.requests import Requests
from app.knowledge.sync.sources import ConnectorKind, Sources
from app.knowledge.sync.trial import DryRun, Trial
from app.records import Ledger
from app.records.events import ConnectorChanged
from connectors.contract import Check, Limits

DAY_S = 86_400
SHORTEST_S = 60
DEFAULT_EVERY_S = Limits().content_every_s


class Configuration:
    """The half of `Sync` that changes what there is."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        sources: Sources,
        credentials: Credentials,
        requests: Requests,
        default_every_s: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._sources = sources
        self.credentials = credentials
        self._requests = requests
        self._default_every_s = default_every_s
        self._clock = clock
        self._trial = Trial(database, sources, credentials)

    def kinds(self) -> list[ConnectorKind]:
        return self._sources.kinds()

    def test(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
    ) -> list[Check]:
        """Asks the source itself. Raises InputError for settings that are wrong in form."""
        return self._trial.checks(kind, settings, secrets, credential_id)

    def dry_run(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
        connector_id: str | None = None,
    ) -> DryRun:
        """What a sync would do, without doing it; looks for half a minute at most. Raises InputError, SourceFault."""
        return self._trial.dry_run(kind, settings, secrets, credential_id, connector_id)

    def add(
        self,
        actor: Person | None,
        kind: str,
        name: str,
        settings: Mapping[str, Any],
        sync_every_s: int | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        credential_id: str | None = None,
    ) -> str:
        """Returns the connector's id; its first sync is due at once. New secrets become a credential of the same name.

        Raises InputError; then nothing is kept.
        """
        limits = self._sources.limits(kind)
        own = limits.content_every_s != DEFAULT_EVERY_S
        default_s = limits.content_every_s if own else self._default_every_s
        every_s = _checked_every(sync_every_s or default_s)
        row = ConnectorRow(
            kind=kind,
            name=_checked_name(name),
            settings=self._sources.validated(kind, settings),
            sync_every_s=every_s,
            permissions_every_s=limits.permissions_every_s,
            groups_every_s=limits.groups_every_s,
            permissions_max_age_s=self._promised(kind, settings, every_s),
            requests_per_minute=limits.requests_per_minute,
            removal_share=limits.removal_share,
            created_at=self._clock(),
        )
        checked = self._checked_secrets(kind, secrets, credential_id)
        row.credential_id = credential_id
        try:
            with self._database.write() as session:
                if checked:
                    row.credential_id = self.credentials.add(
                        session, actor, kind, row.name, checked
                    )
                session.add(row)
                session.flush()
                self._record(session, actor, row, "added", [])
        except IntegrityError as error:
            raise _name_taken(row.name) from error
        return row.id

    def change(
        self,
        actor: Person | None,
        connector_id: str,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        sync_every_s: int | None = None,
        permissions_every_s: int | None = None,
        groups_every_s: int | None = None,
        permissions_max_age_s: int | None = None,
        requests_per_minute: int | None = None,
        removal_share: float | None = None,
        credential_id: str | None = None,
    ) -> None:
        """New settings make the next sync list everything again. Raises InputError, NotFound."""
        plain: dict[str, Any] = {
            "sync_every_s": sync_every_s and _checked_every(sync_every_s),
            "permissions_every_s": permissions_every_s and _checked_every(permissions_every_s),
            "groups_every_s": groups_every_s and _checked_every(groups_every_s),
            "permissions_max_age_s": permissions_max_age_s
            and _checked_every(permissions_max_age_s),
            "requests_per_minute": requests_per_minute and _checked_rate(requests_per_minute),
            "removal_share": None if removal_share is None else _checked_share(removal_share),
            "credential_id": credential_id,
        }
        try:
            with self._database.write() as session:
                row = existing(session, connector_id)
                before = row.model_dump()
                if name is not None:
                    row.name = _checked_name(name)
                if settings is not None:
                    row.settings = self._sources.validated(row.kind, settings)
                    if row.settings != before["settings"]:
                        row.checkpoint, row.access_state = {}, {}
                for field, value in plain.items():
                    if value is not None:
                        setattr(row, field, value)
                if sync_every_s is not None and permissions_max_age_s is None:
                    own = self._promised(row.kind, row.settings, row.sync_every_s)
                    row.permissions_max_age_s = max(row.permissions_max_age_s, own)
                after = row.model_dump()
                fields = sorted(field for field in after if after[field] != before[field])
                if fields:
                    row.version += 1
                    session.flush()
                    self._record(session, actor, row, "changed", fields)
        except IntegrityError as error:
            raise _name_taken(str(name)) from error
        if (
            "settings" in fields
        ):  # a run under way ends at its next batch; the new settings start at once
            self._requests.ask(connector_id, CONTENT)

    def swap_secrets(
        self, actor: Person | None, connector_id: str, secrets: Mapping[str, str]
    ) -> None:
        """New secrets for a connector; where it shares its credential, for all that use it. Fields left empty stay."""
        with self._database.read() as session:
            row = existing(session, connector_id)
        stored = self.credentials.open(row.credential_id)
        filled = {name: value for name, value in secrets.items() if value}
        checked = self._sources.secrets(row.kind, {**stored, **filled})
        if row.credential_id is not None:
            self.credentials.swap(actor, row.credential_id, checked)
        else:
            with self._database.write() as session:
                made = self.credentials.add(session, actor, row.kind, row.name, checked)
                existing(session, connector_id).credential_id = made

    def pause(self, actor: Person | None, connector_id: str) -> None:
        """Stops a running sync and the schedule; what was found stays until its permissions are too old."""
        with self._database.write() as session:
            row = existing(session, connector_id)
            if row.status != "paused":
                row.status = "paused"
                self._record(session, actor, row, "paused", [])

    def resume(self, actor: Person | None, connector_id: str) -> None:
        with self._database.write() as session:
            row = existing(session, connector_id)
            if row.status == "paused":
                row.status = "active" if row.last_sync_at else "scheduled"
                self._record(session, actor, row, "resumed", [])

    def _promised(self, kind: str, settings: Mapping[str, Any], every_s: int) -> int:
        """How old permissions may be: as the connector states where it has a clock of its own for them; otherwise they are
        confirmed with the content, and may miss that twice."""
        capabilities = self._sources.capabilities(kind, self._sources.validated(kind, settings))
        if clocks.PERMISSIONS in clocks.scopes(capabilities):
            return max(self._sources.limits(kind).permissions_max_age_s, SHORTEST_S)
        return max(DAY_S, 3 * every_s)

    def _checked_secrets(
        self, kind: str, secrets: Mapping[str, str] | None, credential_id: str | None
    ) -> dict[str, str]:
        if credential_id is not None:
            known = {found.id: found for found in self.credentials.all(kind)}
            if credential_id not in known:
                raise InputError("There is no such credential for this kind of source.")
            return {}
        return self._sources.secrets(kind, secrets or {})

    def _record(
        self,
        session: Session,
        actor: Person | None,
        row: ConnectorRow,
        change: Any,
        fields: list[str],
    ) -> None:
        self._ledger.append(
            session,
            ConnectorChanged(
                actor=actor_id(actor), subject=row.id, change=change, name=row.name, fields=fields
            ),
        )


def existing(session: Session, connector_id: str) -> ConnectorRow:
    row = session.get(ConnectorRow, connector_id)
    if row is None or row.status == "deleting":
        raise NotFound("There is no such connector, or it is being removed.")
    return row


def actor_id(person: Person | None) -> str:
    return person.id if person else "system"


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise InputError("A connector needs a name of at most 80 characters.")
    return name


def _checked_every(seconds: int) -> int:
    if seconds < SHORTEST_S:
        raise InputError(f"The pause between syncs must be at least {SHORTEST_S} seconds.")
    return seconds


def _checked_rate(per_minute: int) -> int:
    if not 1 <= per_minute <= 100_000:
        raise InputError("Requests a minute must be between 1 and 100,000.")
    return per_minute


def _checked_share(share: float) -> float:
    if not 0 <= share <= 1:
        raise InputError("The share that a sync may remove must be between 0 and 1.")
    return share


def _name_taken(name: str) -> InputError:
    return InputError(f"There is already a connector named '{name}'.", fix="Choose another name.")
