"""The SharePoint and OneDrive connector."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.contract import (
    Access,
    BadEvent,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Event,
    Handled,
    Limits,
    Listed,
    Reader,
    SourceFault,
    Unchanged,
)
from connectors.sharepoint.api import AT_ONCE, GraphApi
from connectors.sharepoint.content import document, mime_of, version_of
from connectors.sharepoint.model import Drive, Item
from connectors.sharepoint.permissions import MEMBERS, Directory, Readers
from connectors.sharepoint.settings import SharePointSecrets, SharePointSettings


class SharePointConnector(Connector):
    kind = "sharepoint"
    title = "SharePoint and OneDrive"
    description = "Files of Microsoft 365 sites and people, for those they are shared with."
    category = "Files"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text("utf-8")
    settings_model = SharePointSettings
    secrets_model = SharePointSecrets
    # Sharing is read item by item, twenty in a request.
    limits = Limits(permissions_every_s=900, groups_every_s=900)
    settings: SharePointSettings
    secrets: SharePointSecrets
    _opened: GraphApi | None = None

    # --- Checks ---

    def validate(self) -> list[Check]:
        return [
            Check.attempt("content", self._see_content),
            Check.attempt("permissions", self._see_sharing),
            Check.attempt("groups", self._see_directory),
        ]

    def _see_content(self) -> str:
        drives = list(self._api.drives())
        if not drives:
            raise SourceFault(
                "The app sees no document library.",
                "Check the sites, the app's permissions and that an administrator consented.",
            )
        self._api.delta(drives[0].id)
        return f"{len(drives)} document libraries can be read."

    def _see_sharing(self) -> str:
        """Looks at the first files of each library."""
        readers = self._readers()
        seen, hidden = 0, 0
        for drive in self._api.drives():
            page = self._api.delta(drive.id)
            ids = [item.id for item in (page.items if page else ()) if mime_of(item)][:AT_ONCE]
            for permissions in self._api.permissions(drive.id, ids).values():
                seen += 1
                hidden += readers.of(permissions) == Access.nobody()
        if hidden:
            raise SourceFault(
                f"The sharing of {hidden} of {seen} files cannot be seen: nobody finds them.",
                "Give the app Sites.Read.All, and let an administrator consent.",
            )
        if readers.unknown:
            names = ", ".join(sorted(readers.unknown)[:5])
            raise SourceFault(
                f"Graph does not tell who is in these site groups: {names}. They count for nobody.",
                "Name the Entra group that stands for each under 'Site groups'.",
            )
        return f"The sharing of {seen} files was seen."

    def _see_directory(self) -> str:
        directory = self._directory
        active = [person for person in directory.people.values() if person.active]
        hidden = sum(not directory.addresses(person) for person in active)
        more = f" {hidden} have no address of their own and find nothing." if hidden else ""
        return f"{len(active)} active people and {len(directory.group_ids)} groups.{more}"

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Everything once, then what delta says has changed; sharing of folders above is `list_ids`' to tell."""
        drives = list(self._api.drives())
        links: dict[str, str] = dict(checkpoint.get("drives") or {}) if known else {}
        links = {drive.id: links.get(drive.id, "") for drive in drives}
        whole = not any(links.values())
        readers = self._readers()
        for number, drive in enumerate(drives, start=1):
            self.context.progress(drive.name, number, len(drives))
            for change in self._read(drive, links, readers, known):
                if self.context.cancelled():
                    return
                yield change
        if self.context.cancelled():
            return
        yield Checkpoint({"drives": links}, complete=whole)

    def _read(
        self, drive: Drive, links: dict[str, str], readers: Readers, known: Mapping[str, str]
    ) -> Iterator[Change]:
        sent: dict[str, str] = {}
        while True:
            page = self._api.delta(drive.id, links[drive.id])
            if (
                page is None
            ):  # 410: Graph has forgotten, so all is named again; list_ids tells what is gone
                links[drive.id] = ""
                continue
            latest = {item.id: item for item in page.items}  # the last mention of an item counts
            fresh = [i for i in latest.values() if sent.get(i.id) != version_of(i)]
            sent |= {item.id: version_of(item) for item in fresh}
            yield from self._changes_of(drive, fresh, readers, known)
            links[drive.id] = page.link
            yield Checkpoint({"drives": dict(links)})
            if not page.more:
                return

    def _changes_of(
        self, drive: Drive, items: Sequence[Item], readers: Readers, known: Mapping[str, str]
    ) -> Iterator[Change]:
        wanted = [item for item in items if not item.deleted and mime_of(item)]
        unwanted = {item.id for item in items} - {item.id for item in wanted}
        for id in sorted(unwanted):
            if f"{drive.id}/{id}" in known:
                yield Deletion(f"{drive.id}/{id}")
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            told = self._api.permissions(drive.id, [item.id for item in part])
            for item in part:
                yield self._change(drive, item, readers.of(told[item.id]), known)

    def _change(self, drive: Drive, item: Item, access: Access, known: Mapping[str, str]) -> Change:
        id, data_class = f"{drive.id}/{item.id}", self.settings.data_class
        if known.get(id) == version_of(item):
            return Unchanged(id, access, data_class)
        return document(self._api, drive, item, access, data_class, self.context.max_bytes)

    def list_ids(self) -> Iterator[Listed]:
        readers = self._readers()
        for drive in self._api.drives():
            latest: dict[str, Item] = {}
            link, more = "", True
            while more:
                page = self._api.delta(drive.id, link)
                if page is None:
                    raise SourceFault("Graph lost its place.", "Try again later.", passing=True)
                latest |= {item.id: item for item in page.items}
                link, more = page.link, page.more
            wanted = [i for i in latest.values() if not i.deleted and mime_of(i)]
            told = self._api.permissions(drive.id, [item.id for item in wanted])
            for item in wanted:
                access = readers.of(told[item.id])
                id, version = f"{drive.id}/{item.id}", version_of(item)
                yield Listed(id, version, access, self.settings.data_class)

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        drives = {drive.id: drive for drive in self._api.drives()}
        readers = self._readers()
        for id in ids:
            drive_id, _, item_id = id.partition("/")
            drive = drives.get(drive_id)
            item = self._api.item(drive_id, item_id) if drive and item_id else None
            if drive is None or item is None or item.deleted or not mime_of(item):
                yield Deletion(id)
            else:
                yield from self._changes_of(drive, [item], readers, {})

    # --- Permissions ---

    def groups(self) -> Mapping[str, frozenset[str]]:
        return self._directory.groups()

    def may_read(self, document_id: str, reader: Reader) -> bool:
        """Reads the item's sharing and the person's groups now."""
        drive, _, item = document_id.partition("/")
        api, directory = self._api, Directory(self._api)
        person = directory.find(reader.email)
        if person is None or not item or not directory.addresses(person):
            return False
        told = api.permissions(drive, [item])[item]
        access = Readers(directory, self.settings, self.context.clock()).of(told)
        if access.users & directory.addresses(person):
            return True
        if MEMBERS in access.groups and directory.is_member(person):
            return True
        asked = [name.removeprefix("group:") for name in sorted(access.groups - {MEMBERS})]
        return api.in_groups(person.id, asked)

    def handle_event(self, event: Event) -> Handled:
        """Change notifications name a library, not its items, so delta says what changed. The handshake
        (`validationToken`) carries no secret and changes nothing: it gets its token back."""
        if token := event.query.get("validationToken"):
            return Handled(reply=token.encode())
        expected = self.secrets.client_state.get_secret_value()
        if not expected:
            raise BadEvent("No client state is set.")
        try:
            states = [str(row["clientState"]) for row in json.loads(event.body)["value"]]
        except (ValueError, KeyError, TypeError):
            raise BadEvent("The body is no notification of Graph's.") from None
        right = [hmac.compare_digest(state.encode(), expected.encode()) for state in states]
        if not right or not all(right):
            raise BadEvent("The client state is wrong.")
        return Handled(content=True, permissions=True)

    # --- Parts ---

    @property
    def _api(self) -> GraphApi:
        """One for this piece of work: it keeps its token and connections."""
        if self._opened is None:
            secret = self.secrets.client_secret.get_secret_value()
            self._opened = GraphApi(self.context, self.settings, secret)
        return self._opened

    @property
    def _directory(self) -> Directory:
        return Directory(self._api)

    def _readers(self) -> Readers:
        return Readers(self._directory, self.settings, self.context.clock())
