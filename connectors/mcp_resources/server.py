"""One MCP server for the length of a `with` block: its resources, read one after the other, and words for what goes wrong."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO, TypeVar
from urllib.parse import urlsplit

from connectors.contract import Context, SourceFault
from connectors.http import Cancelled
from connectors.mcp_resources.content import Entry, Unreadable
from connectors.mcp_resources.line import Line, Slow, root
from connectors.mcp_resources.settings import McpSettings
from connectors.mcp_resources.web import Refusal, http_client

if TYPE_CHECKING:
    from mcp import Client

    from connectors.mcp_resources.content import Contents

T = TypeVar("T")
WORDS_OF_SERVER = 200
OVERHEAD = 1_000_000
CONNECTION_CLOSED = -32000
SLOW_FIX = "Look into the server's log, or allow longer answers."
BUSY = {429, 502, 503, 504}


class Server:
    """Raises SourceFault when the server as a whole cannot be used, Unreadable for one resource, Cancelled."""

    def __init__(self, settings: McpSettings, secret: str, context: Context) -> None:
        self._settings = settings
        self._secret = secret
        self._max_bytes = context.max_bytes
        self._refusal = Refusal()
        self._errors: TextIO | None = None
        self._line = Line(self._connect, settings.call_timeout_s, context.cancelled)

    def __enter__(self) -> Server:
        settings = self._settings
        if self._secret and not settings.by_program and not settings.keeps_token_private:
            raise SourceFault("The secret would travel unencrypted to http://.", "Use https://.")
        self._guarded(self._line.__enter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._line.__exit__()

    @property
    def name(self) -> str:
        settings = self._settings
        if settings.by_program:
            return f"The program {os.path.basename(settings.words[0])}"
        return urlsplit(settings.url).hostname or settings.url

    @property
    def title(self) -> str:
        """What the server calls itself."""
        told = self._line.client.server_info
        return (told.title or told.name) if told else ""

    def entries(self) -> Iterator[Entry]:
        """Every wanted resource once, over all pages; raises SourceFault rather than end early."""
        if self._line.client.server_capabilities.resources is None:
            raise SourceFault(
                f"{self.name} offers no resources.", "Use a server that does; tools are not read."
            )
        seen: set[str] = set()
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            page = self._guarded(
                lambda at=cursor: self._line.call(  # type: ignore[misc]
                    lambda client: client.list_resources(cursor=at, cache_mode="bypass")
                )
            )
            for resource in page.resources:
                if resource.uri in seen:
                    continue
                seen.add(resource.uri)
                if len(seen) > self._settings.most_resources:
                    raise self._endless(f"more than {self._settings.most_resources} resources")
                entry = Entry.of(resource)
                if self._settings.wants(entry.uri) and entry.may_be_text:
                    yield entry
            cursor = page.next_cursor
            if not cursor:
                return
            if cursor in cursors:
                raise self._endless("the same page again and again")
            cursors.add(cursor)

    def read(self, uri: str) -> Sequence[Contents]:
        """Raises Unreadable for what the server refuses, Slow where it does not answer, SourceFault where it is gone."""
        from mcp.shared.exceptions import MCPError

        async def ask(client: Client) -> Sequence[Contents]:
            return (await client.read_resource(uri, cache_mode="bypass")).contents

        try:
            return self._line.call(ask)
        except (Slow, Cancelled):
            raise
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or self._refusal.status in {401, 403, *BUSY}:
                raise self._fault(error) from None
            cause = f"The server refused it: {self._told(error.message)}"
            raise Unreadable(cause, "Look into the server's log, or exclude it.") from None
        except ValueError:
            raise Unreadable(
                "The server's answer is no valid MCP.", "Report it to the server's maker."
            ) from None
        except (Exception, CancelledError) as error:
            raise self._fault(error) from None

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (SourceFault, Cancelled):
            raise
        except (Exception, CancelledError) as error:
            raise self._fault(error) from None

    def _fault(self, raised: BaseException) -> SourceFault:
        error, status = root(raised), self._refusal.status
        if isinstance(error, Slow):
            seconds = self._settings.call_timeout_s
            cause = f"{self.name} did not answer within {seconds} seconds."
            return SourceFault(cause + self._last_words(), SLOW_FIX, passing=True)
        if status == 401:
            return SourceFault(
                f"{self.name} does not accept the secret (401).",
                "It may be missing, expired or revoked: enter a new one.",
            )
        if status == 403:
            fix = "Grant it the right to read resources."
            return SourceFault(f"{self.name} forbids this to the secret (403).", fix)
        if status in BUSY:
            cause = f"{self.name} is busy or limits requests ({status})."
            return SourceFault(cause, "The next sync tries again.", passing=True)
        if status:
            cause = f"{self.name} answered with an error ({status})."
            return SourceFault(cause, "Check the address: it often ends in /mcp.")
        if isinstance(error, FileNotFoundError | PermissionError):
            return SourceFault(
                f"{self.name} cannot be run ({error.strerror}).",
                "Enter a program that is installed on Switchboard's server, or its full path.",
            )
        if isinstance(error, ValueError):
            return SourceFault(
                f"{self.name} sent an answer that is no valid MCP.", "Report it to its maker."
            )
        return self._broken(error)

    def _broken(self, error: BaseException) -> SourceFault:
        from mcp.shared.exceptions import MCPError

        if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED:
            cause = f"{self.name} answered with an error: {self._told(error.message)}"
            return SourceFault(cause, "Look into the server's log.")
        if self._settings.by_program:
            cause = f"{self.name} ended unexpectedly.{self._last_words()}"
            return SourceFault(cause, "Run its command line by hand to see why.", passing=True)
        cause = f"{self.name} cannot be reached, or broke the connection off."
        fix = "Check the address, the network and that it is running."
        return SourceFault(cause, fix, passing=True)

    def _endless(self, what: str) -> SourceFault:
        fix = "Raise the limit, or have the server list fewer."
        return SourceFault(f"{self.name} lists {what}; it is not read.", fix)

    def _told(self, text: str) -> str:
        """The server's own words, short and without the secret."""
        text = text.replace(self._secret, "•••") if self._secret else text
        return " ".join(text.split())[:WORDS_OF_SERVER]

    def _last_words(self) -> str:
        """The last line that a program wrote to its error output."""
        if self._errors is None or self._errors.closed:
            return ""
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - 2000))
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return f" Its last words: {self._told(lines[-1])}" if lines else ""

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Client]:
        from mcp import Client
        from mcp.client.stdio import StdioServerParameters, stdio_client
        from mcp.client.streamable_http import streamable_http_client

        settings = self._settings
        seconds = (
            settings.call_timeout_s + 5.0
        )  # the line's own limit, which has words, comes first
        most = self._max_bytes * 2 + OVERHEAD  # base64 and JSON escapes
        async with AsyncExitStack() as stack:
            if settings.by_program:
                first, *rest = settings.words
                parameters = StdioServerParameters(
                    command=first,
                    args=rest,
                    env=dict(settings.variables(self._secret)),
                    cwd=tempfile.gettempdir(),
                    encoding_error_handler="replace",
                )
                transport = stdio_client(parameters, errlog=self._error_output())
            else:
                http = http_client(self._secret, seconds, most, self._refusal)
                await stack.enter_async_context(http)
                transport = streamable_http_client(
                    settings.url, http_client=http, max_sse_event_size=most
                )
            client = Client(transport, read_timeout_seconds=seconds, cache=None)
            yield await stack.enter_async_context(client)

    def _error_output(self) -> TextIO:
        """A file without a name: it is gone with the last who holds it."""
        file = tempfile.TemporaryFile("w+b")  # noqa: SIM115
        self._errors = TextIOWrapper(file, encoding="utf-8", errors="replace")
        return self._errors
