"""The Confluence connector."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.atlassian import Account, site, verified
from connectors.confluence import events
from connectors.confluence.api import ConfluenceApi
from connectors.confluence.documents import parsed_id
from connectors.confluence.library import Library, Shelf, chosen_spaces
from connectors.confluence.readers import Directory, Readers
from connectors.confluence.settings import ConfluenceSecrets, ConfluenceSettings
from connectors.contract import (
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Event,
    Failure,
    Handled,
    Limits,
    Listed,
    Reader,
    SourceFault,
)

BATCH = 50
OVERLAP = timedelta(minutes=30)
"""The search for changes reaches this far back before the last reading: its index follows behind."""
PEOPLE_FOR = timedelta(minutes=5)
"""How long live checks use the account that belongs to an e-mail address."""


@dataclass(frozen=True, slots=True)
class FullPass:
    """A reading of everything that can go on where it was cut off: spaces that are done, and the last page of the next."""

    began: str
    done: tuple[str, ...] = ()
    space: str = ""
    last: str = ""

    @property
    def state(self) -> dict[str, Any]:
        return {
            "running": {
                "began": self.began,
                "done": list(self.done),
                "space": self.space,
                "last": self.last,
            }
        }


class ConfluenceConnector(Connector):
    kind = "confluence"
    title = "Confluence"
    description = (
        "Pages, blog posts, comments and files of Confluence Cloud, for those who see them there."
    )
    category = "Wikis"
    setup_help = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = ConfluenceSettings
    secrets_model = ConfluenceSecrets
    limits = Limits(requests_per_minute=600)
    settings: ConfluenceSettings
    secrets: ConfluenceSecrets

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._one = threading.Lock()
        self._people: dict[str, Account] = {}
        self._people_at: datetime | None = None

    # --- Checks ---

    def validate(self) -> list[Check]:
        api = self._api()
        return [
            Check.attempt("content", lambda: self._see_content(api)),
            Check.attempt("permissions", lambda: self._see_permissions(api)),
            Check.attempt("groups", lambda: self._see_groups(api)),
        ]

    def _see_content(self, api: ConfluenceApi) -> str:
        spaces = chosen_spaces(api, self.settings)
        missing = {key.strip().upper() for key in self.settings.spaces} - {
            space.key.upper() for space in spaces
        }
        if missing or not spaces:
            named = ", ".join(sorted(missing)) or "any space"
            raise SourceFault(
                f"The account does not see {named}.",
                "Check the keys, and that the account may view these spaces.",
            )
        next(api.pages(spaces[0].id, "page", "current"), None)
        return f"{len(spaces)} spaces can be read."

    def _see_permissions(self, api: ConfluenceApi) -> str:
        spaces = chosen_spaces(api, self.settings)
        untold = [space.key for space in spaces[:20] if api.grants(space.id) is None]
        if untold:
            raise SourceFault(
                f"Confluence does not tell who may view {', '.join(untold)}.",
                "Make the account an administrator of these spaces; until then nobody finds their pages.",
            )
        for space in spaces[:1]:
            next(api.restrictions(space.key), None)
        return f"Permissions of {len(spaces)} spaces and restrictions of pages can be seen."

    def _see_groups(self, api: ConfluenceApi) -> str:
        groups = list(api.groups())
        members = {id for group in groups for id in api.members(group)}
        people = [a for a in Directory(api).accounts(members) if a.person and a.active]
        hidden = sum(not account.email for account in people)
        if people and hidden == len(people):
            raise SourceFault(
                "Confluence shows no e-mail address, so nobody would find anything.",
                "Use the token of an organisation administrator, or let people show their address.",
            )
        more = f" {hidden} hide their e-mail address and find nothing." if hidden else ""
        return f"{len(groups)} groups, {len(people)} people.{more}"

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """What changed, by search; everything once in `full_hours`."""
        library = self._library()
        now = self.context.clock()
        running = checkpoint.get("running")
        full_at = _time(checkpoint.get("full_at"))
        if running and known:
            resumed = FullPass(
                running["began"], tuple(running["done"]), running["space"], running["last"]
            )
            yield from self._everything(library, resumed, known, resumed=True)
        elif not known or not full_at or now - full_at >= timedelta(hours=self.settings.full_hours):
            yield from self._everything(library, FullPass(now.isoformat()), known, resumed=False)
        else:
            since = _time(checkpoint.get("since")) or full_at
            yield from self._recent(library, now, since, known)
            if not self.context.cancelled():
                state = {"full_at": full_at.isoformat(), "since": now.isoformat()}
                yield Checkpoint(state)

    def _everything(
        self, library: Library, reading: FullPass, known: Mapping[str, str], *, resumed: bool
    ) -> Iterator[Change]:
        done = set(reading.done)
        yield from self._not_found(library)
        for number, space in enumerate(library.spaces.values(), start=1):
            self.context.progress(f"Space {space.name}", number, len(library.spaces))
            if space.id in done:
                continue
            if self.context.cancelled():
                return
            last = reading.last if reading.space == space.id else ""
            shelf = library.shelf(space, comments=True)
            for change in self._space(
                library, shelf, replace(reading, space=space.id, last=last), known
            ):
                if self.context.cancelled():
                    return
                yield change
            reading = replace(reading, done=(*reading.done, space.id), space="", last="")
            yield Checkpoint(reading.state)
        if not self.context.cancelled():
            state = {"full_at": reading.began, "since": reading.began}
            yield Checkpoint(state, complete=not resumed)

    def _space(
        self, library: Library, shelf: Shelf, reading: FullPass, known: Mapping[str, str]
    ) -> Iterator[Change]:
        waiting = 0
        for page in shelf.pages:
            if reading.last and _order(page.id) <= _order(reading.last):
                continue
            for change in library.changes(shelf, page, known):
                waiting += 1
                yield change
            if waiting >= BATCH:
                waiting = 0
                yield Checkpoint(replace(reading, last=page.id).state)

    def _recent(
        self, library: Library, now: datetime, since: datetime, known: Mapping[str, str]
    ) -> Iterator[Change]:
        minutes = int((now - since + OVERLAP).total_seconds() // 60) + 1
        gone = set[str]()
        for deletion in library.trashed(known):
            gone.add(deletion.id)
            yield deletion
        found = sorted(set(self._api().changed_since(minutes)))
        for number, (kind, id) in enumerate(found, start=1):
            self.context.progress("Changed pages", number, len(found))
            for change in library.again(kind, id, known):
                if self.context.cancelled():
                    return
                if _id(change) not in gone and not _unheard(change, known):
                    yield change

    def _not_found(self, library: Library) -> Iterator[Failure]:
        seen = {space.key.upper() for space in library.spaces.values()}
        for key in self.settings.spaces:
            if key.strip() and key.strip().upper() not in seen:
                cause = "The account does not see this space."
                yield Failure(
                    f"space:{key}", f"Space {key}", cause, "Check its key and permissions."
                )

    def list_ids(self) -> Iterator[Listed]:
        library = self._library()
        for space in library.spaces.values():
            yield from library.listed(library.shelf(space, comments=False))

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        library = self._library()
        done = set[tuple[str, str]]()
        for id in ids:
            parts = parsed_id(id)
            if parts is None:
                yield Deletion(id)
            elif parts[2]:
                yield self._one_attachment(library, parts, id)
            elif parts[:2] not in done:
                done.add(parts[:2])
                yield next(library.again(parts[0], parts[1], {}))

    def _one_attachment(self, library: Library, parts: tuple[str, str, str], id: str) -> Change:
        found = (c for c in library.again(parts[0], parts[1], {}) if _id(c) == id)
        return next(found, Deletion(id))

    # --- Permissions ---

    def groups(self) -> Mapping[str, frozenset[str]]:
        library = self._library()
        return library.readers.groups(library.spaces.values())

    def may_read(self, document_id: str, reader: Reader) -> bool:
        parts = parsed_id(document_id)
        if parts is None:
            return False
        api = self._api()
        account = self._person(api, reader.email.strip().lower())
        return account is not None and account.reads and api.may_read(parts[1], account.id)

    def handle_event(self, event: Event) -> Handled:
        return events.meaning(verified(event, self.secrets.webhook_secret.get_secret_value()))

    # --- Parts ---

    def _api(self) -> ConfluenceApi:
        return ConfluenceApi(site(self.context, self.settings, self.secrets))

    def _library(self) -> Library:
        return Library(self._api(), self.settings, self.context)

    def _person(self, api: ConfluenceApi, email: str) -> Account | None:
        """Confluence finds no account by its address, so all are listed, once in a while."""
        with self._one:
            now = self.context.clock()
            if self._people_at is None or now - self._people_at > PEOPLE_FOR:
                self._people = self._everybody(api)
                self._people_at = now
            return self._people.get(email)

    def _everybody(self, api: ConfluenceApi) -> dict[str, Account]:
        readers = Readers(api, public_is_everyone=False)
        ids = {id for group in api.groups() for id in api.members(group)}
        for space in chosen_spaces(api, self.settings):
            grants = readers.grants(space.id)
            ids |= grants.users if grants else frozenset()
        return {a.email: a for a in readers.directory.accounts(ids) if a.reads}


def _id(change: Change) -> str:
    return "" if isinstance(change, Checkpoint) else change.id


def _unheard(change: Change, known: Mapping[str, str]) -> bool:
    """A deletion of what was never there."""
    return isinstance(change, Deletion) and change.id not in known


def _order(page: str) -> tuple[int, str]:
    return len(page), page


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
