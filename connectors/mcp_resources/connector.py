"""Resources of an MCP server as documents. The protocol knows no readers, so the admin states them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Limits,
    Listed,
    SourceFault,
    Unchanged,
)
from connectors.http import Cancelled
from connectors.mcp_resources.content import Entry, Unreadable, body_of
from connectors.mcp_resources.line import Slow
from connectors.mcp_resources.server import Server
from connectors.mcp_resources.settings import McpSecrets, McpSettings

CHECKPOINT_EVERY = 100
SLOW_IN_A_ROW = 3


class McpResources(Connector):
    kind = "mcp"
    title = "MCP server"
    description = "Resources that a server of the Model Context Protocol offers, by web address or as a program."
    category = "Other"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text(encoding="utf-8")
    settings_model = McpSettings
    secrets_model = McpSecrets
    settings: McpSettings
    secrets: McpSecrets
    limits = Limits(permissions_every_s=300)

    def validate(self) -> list[Check]:
        content = Check.attempt("content", self._look)
        return [content, self.settings.readers_check("An MCP server")]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Lists every resource each time; reads those whose time is new, or that have none."""
        del checkpoint
        if self.context.cancelled():
            return
        try:
            with self._server() as server:
                entries = list(server.entries())
                yield from self._all(server, entries, known)
        except Cancelled:
            return
        yield Checkpoint(complete=True)

    def list_ids(self) -> Iterator[Listed]:
        access, data_class = self.settings.access(), self.settings.data_class
        for entry in self._entries():
            yield Listed(entry.uri, entry.stamp, access, data_class)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Readers are stated in the settings: while those stay, all are confirmed without asking the server."""
        mark = self.settings.readers_mark()
        if since.get("readers") != mark:
            access, data_class = self.settings.access(), self.settings.data_class
            for entry in self._entries():
                yield AccessChange(entry.uri, access, data_class)
        yield Checkpoint({"readers": mark})

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        with self._server() as server:
            entries = {entry.uri: entry for entry in server.entries()}
            for id in ids:
                try:
                    yield self._change(server, entries[id], "") if id in entries else Deletion(id)
                except Slow:
                    yield self._slow(entries[id])

    def _all(
        self, server: Server, entries: Sequence[Entry], known: Mapping[str, str]
    ) -> Iterator[Change]:
        slow = 0
        for number, entry in enumerate(entries, start=1):
            if self.context.cancelled():
                raise Cancelled
            self.context.progress(f"{number} of {len(entries)} resources", number, len(entries))
            try:
                yield self._change(server, entry, known.get(entry.uri, ""))
                slow = 0
            except Slow:
                slow += 1
                if slow == SLOW_IN_A_ROW:
                    raise SourceFault(
                        f"{server.name} left {slow} resources in a row unanswered.",
                        "Look into the server's log, or allow longer answers.",
                        passing=True,
                    ) from None
                yield self._slow(entry)
            if number % CHECKPOINT_EVERY == 0:
                yield Checkpoint()

    def _change(self, server: Server, entry: Entry, known: str) -> Change:
        """Raises Slow."""
        access, data_class = self.settings.access(), self.settings.data_class
        if entry.stamp and entry.stamp == known:
            return Unchanged(entry.uri, access, data_class)
        if entry.size is not None and entry.size > self.context.max_bytes:
            return self._too_large(entry, entry.size)
        try:
            body = body_of(entry, server.read(entry.uri))
        except Unreadable as error:
            return Failure(entry.uri, entry.title, error.cause, error.fix)
        if len(body.content) > self.context.max_bytes:
            return self._too_large(entry, len(body.content))
        version = entry.stamp or body.version
        if version == known:
            return Unchanged(entry.uri, access, data_class)
        return Document(
            id=entry.uri,
            title=entry.title,
            content=body.content,
            mime=body.mime,
            version=version,
            access=access,
            data_class=data_class,
            url=self.settings.link_to(entry.uri),
            space=server.title,
            modified_at=entry.modified_at,
        )

    def _too_large(self, entry: Entry, size: int) -> Failure:
        cause = f"It has {size:,} bytes; the limit is {self.context.max_bytes:,}."
        return Failure(entry.uri, entry.title, cause, "Split it, or exclude it.")

    def _slow(self, entry: Entry) -> Failure:
        cause = f"The server did not answer within {self.settings.call_timeout_s} seconds."
        return Failure(entry.uri, entry.title, cause, "Allow longer answers, or exclude it.")

    def _entries(self) -> list[Entry]:
        with self._server() as server:
            return list(server.entries())

    def _look(self) -> str:
        with self._server() as server:
            entries = list(server.entries())
            if not entries:
                raise SourceFault(
                    f"{server.name} lists no resource that is wanted and could be text.",
                    "Check the patterns; templates and tools are not read.",
                )
            try:
                server.read(entries[0].uri)
            except (Unreadable, Slow):
                return f"{len(entries)} resources are listed, but {entries[0].uri} cannot be read."
            return f"{len(entries)} resources are listed and {entries[0].uri} can be read."

    def _server(self) -> Server:
        return Server(self.settings, self.secrets.token.get_secret_value(), self.context)
