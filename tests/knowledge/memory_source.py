"""A source in memory that has every capability, and a world that tests change. It is a real connector: only its world is small."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from connectors.contract import (
    Access,
    AccessChange,
    BadEvent,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Event,
    Failure,
    Handled,
    Limits,
    Listed,
    Reader,
    Secrets,
    Settings,
    SourceFault,
)

WORLDS: dict[str, World] = {}
TOKEN = "correct horse battery staple"


@dataclass
class Page:
    text: str
    access: Access
    version: int = 1
    data_class: str = "internal"
    broken: bool = False


@dataclass
class World:
    """What the source holds, and how it behaves. `calls` counts what was asked of it."""

    pages: dict[str, Page] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    away: bool = False
    bug: bool = False
    slow_s: float = 0.0
    refused_live: set[tuple[str, str]] = field(default_factory=set)
    on_page: Callable[[str], None] = lambda _id: None
    calls: Counter[str] = field(default_factory=Counter)
    changed: threading.Event = field(default_factory=threading.Event)

    def put(self, id: str, text: str, access: Access) -> None:
        version = self.pages[id].version + 1 if id in self.pages else 1
        self.pages[id] = Page(f"# {id}\n\n{text}", access, version)
        self.log.append(id)

    def share(self, id: str, access: Access) -> None:
        """A change of readers that leaves content and its log alone."""
        self.pages[id].access = access

    def drop(self, id: str, *, tell: bool = True) -> None:
        del self.pages[id]
        if tell:
            self.log.append(id)


class MemorySettings(Settings):
    world: str = Field(title="World", description="Its name.")


class MemorySecrets(Secrets):
    token: SecretStr = Field(title="Token", description="What the source wants to see.")


class MemorySource(Connector):
    kind: ClassVar[str] = "memory"
    title = "Memory"
    description = "A source in memory."
    setup_help = "Ask the test."
    settings_model = MemorySettings
    secrets_model = MemorySecrets
    limits = Limits(permissions_max_age_s=3600)
    settings: MemorySettings
    secrets: MemorySecrets

    def validate(self) -> list[Check]:
        return [
            Check.attempt("content", lambda: f"{len(self._world('validate').pages)} pages."),
            Check.attempt("permissions", lambda: "Each page names its readers."),
            Check.attempt("groups", lambda: f"{len(self._world('validate').groups)} groups."),
        ]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """The first time every page, then what the log names: a deletion that is not told is not seen."""
        del known  # it sends what its log names
        world = self._world("changes")
        end = len(world.log)
        ids = sorted(world.pages) if "log" not in checkpoint else world.log[checkpoint["log"] :]
        for number, id in enumerate(dict.fromkeys(ids), start=1):
            if self.context.cancelled():
                return
            world.on_page(id)
            self.context.progress(f"page {number}", number, len(ids))
            yield self._change(id)
        yield Checkpoint({"log": end})

    def list_ids(self) -> Iterator[Listed]:
        for id, page in sorted(self._world("list_ids").pages.items()):
            yield Listed(id, str(page.version), page.access, page.data_class)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        del since
        for id, page in sorted(self._world("access").pages.items()):
            yield AccessChange(id, page.access, page.data_class)
        yield Checkpoint({})

    def groups(self) -> Mapping[str, frozenset[str]]:
        return self._world("groups").groups

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        self._world("refetch")
        for id in ids:
            yield self._change(id)

    def handle_event(self, event: Event) -> Handled:
        world = self._world("handle_event")
        expected = hmac.new(TOKEN.encode(), event.body, "sha256").hexdigest()
        if not hmac.compare_digest(expected, event.headers.get("x-signature", "")):
            raise BadEvent("signature")
        told = json.loads(event.body)
        del world
        return Handled(
            ids=tuple(told.get("ids", ())),
            permissions=bool(told.get("permissions")),
            groups=bool(told.get("groups")),
            reply=str(told.get("challenge", "")).encode(),
        )

    def may_read(self, document_id: str, reader: Reader) -> bool:
        world = self._world("may_read")
        time.sleep(world.slow_s)
        return (document_id, reader.email) not in world.refused_live

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        world, stop = self._world("watch"), threading.Event()

        def look() -> None:
            while not stop.is_set():
                if world.changed.wait(0.05) and not stop.is_set():
                    world.changed.clear()
                    changed()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(2)

        return end

    def _change(self, id: str) -> Change:
        world = WORLDS[self.settings.world]
        page = world.pages.get(id)
        if page is None:
            return Deletion(id)
        if page.broken:
            return Failure(id, id, "The page is broken.", "Mend it.")
        return Document(
            id,
            id,
            page.text.encode(),
            "text/markdown",
            str(page.version),
            page.access,
            page.data_class,
        )

    def _world(self, call: str) -> World:
        world = WORLDS[self.settings.world]
        world.calls[call] += 1
        if world.bug:
            raise ZeroDivisionError(f"in {call} with {self.secrets.token.get_secret_value()}")
        if world.away:
            raise SourceFault("The source is away.", "Wait.", passing=True)
        if self.secrets.token.get_secret_value() != TOKEN:
            raise SourceFault("The source does not accept the token.", "Swap it.")
        return world
