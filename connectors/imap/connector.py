"""Mail folders: a person's own for them alone, shared ones for those whom their ACL admits."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.contract import (
    Access,
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Limits,
    Outcome,
    Reader,
    SourceFault,
)
from connectors.imap.acl import Directory, readers, unstated
from connectors.imap.ids import Place, read_id
from connectors.imap.reading import FolderReader
from connectors.imap.session import Folder, Session, signed_in
from connectors.imap.settings import ImapSecrets, ImapSettings, Person


class ImapConnector(Connector):
    kind = "imap"
    title = "IMAP mailbox"
    description = "Mail: a person's own folders for them alone, shared folders by their ACL."
    category = "Mail"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text(encoding="utf-8")
    settings_model = ImapSettings
    secrets_model = ImapSecrets
    limits = Limits(removal_share=0.5)
    settings: ImapSettings
    secrets: ImapSecrets

    def validate(self) -> list[Check]:
        checks = [Check.attempt("content", self._content)]
        if checks[0].outcome is not Outcome.PASSED:
            return [*checks, Check.not_checked("permissions"), Check.not_checked("groups")]
        checks.append(self._permissions())
        return [
            *checks,
            Check.attempt(
                "groups", lambda: f"{len(self.groups())} shared folders have their readers."
            ),
        ]

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Never claims to be complete: what is gone is told by name, from the UIDs that are left."""
        stored: dict[str, Any] = dict(checkpoint.get("folders", {}))
        state: dict[str, Any] = {}
        present: set[str] = set()
        for session, _, place, status in self._walk():
            present.add(place.prefix)
            reader = self._reader(session, place)
            before = stored.get(place.prefix, {})
            for item in reader.changes(before, status, known):
                if isinstance(item, dict):
                    state[place.prefix] = item
                    yield Checkpoint({"folders": {**stored, **state}})
                else:
                    yield item
            if self.context.cancelled():
                return
        if self.context.cancelled():
            return
        for id in known:
            found = read_id(id)
            if found is None or found[0].prefix not in present:
                yield Deletion(id)
        yield Checkpoint({"folders": state})

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """A document's readers are its owner, or its folder's group, and never change: groups do. Only a new owner in the
        settings makes every document be named again."""
        now = {"owners": sorted(f"{p.login} {p.email}" for p in self.settings.people())}
        if dict(since) == now:
            for person in self.settings.people():
                with self._session(person):
                    pass  # a server that is away confirms nothing
        else:
            for session, _, place, _ in self._walk():
                reader = self._reader(session, place)
                for id in reader.ids():
                    yield AccessChange(id, self._access(place), self.settings.data_class)
        yield Checkpoint(now)

    def groups(self) -> Mapping[str, frozenset[str]]:
        """One for each shared folder: the people whom its ACL admits now."""
        found: dict[str, frozenset[str]] = {}
        for person in self.settings.people() if self.settings.shared else ():
            with self._session(person) as session:
                for folder in session.folders():
                    if folder.shared and self._selected(folder.name):
                        self._add_members(session, folder, found)
        return found

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        wanted: dict[Place, dict[int, list[str]]] = {}
        for id in ids:
            found = read_id(id)
            if found is None:
                yield Deletion(id)
            else:
                wanted.setdefault(found[0], {}).setdefault(found[1], []).append(id)
        for place, by_uid in wanted.items():
            asked = {id for some in by_uid.values() for id in some}
            for change in self._again(place, sorted(by_uid)):
                if not isinstance(change, Checkpoint) and change.id in asked:
                    asked.discard(change.id)
                    yield change
            for id in sorted(asked):
                yield Deletion(id)

    def may_read(self, document_id: str, reader: Reader) -> bool:
        found = read_id(document_id)
        if found is None:
            return False
        place, uid = found
        email = reader.email.strip().lower()
        members: dict[str, frozenset[str]] = {}
        for person in self.settings.people():
            if place.login and (person.login != place.login or person.email != email):
                continue
            with self._session(person) as session:
                if session.open(place.folder) != place.uidvalidity:
                    continue
                there = uid in session.fetch([uid], "FLAGS")
                if there and place.login:
                    return True
                folder = next((f for f in session.folders() if f.name == place.folder), None)
                if there and folder is not None and folder.shared:
                    self._add_members(session, folder, members)
                    if email in members.get(place.group, frozenset()):
                        return True
        return False

    # --- Parts --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _session(self, person: Person) -> Iterator[Session]:
        secret = self.secrets.password.get_secret_value()
        with signed_in(self.settings, secret, person) as session:
            yield session

    def _walk(self) -> Iterator[tuple[Session, Folder, Place, dict[str, int]]]:
        """Every folder to read, a shared one once: by the first person who can open it."""
        done: set[str] = set()
        for person in self.settings.people():
            with self._session(person) as session:
                for folder in session.folders():
                    if self.context.cancelled():
                        return
                    if folder.name in done or not self._selected(folder.name):
                        continue
                    if folder.shared and not self.settings.shared:
                        continue
                    status = session.status(folder.name)
                    if status is None:
                        continue
                    if folder.shared:
                        done.add(folder.name)
                    login = "" if folder.shared else person.login
                    yield session, folder, Place(login, folder.name, status["UIDVALIDITY"]), status

    def _selected(self, name: str) -> bool:
        patterns = self.settings.folders
        return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    def _reader(self, session: Session, place: Place) -> FolderReader:
        access = self._access(place)
        return FolderReader(session, place, access, self.settings, self.context)

    def _access(self, place: Place) -> Access:
        if not place.login:
            return Access.of(groups=[place.group])
        emails = [p.email for p in self.settings.people() if p.login == place.login]
        return Access.of(emails) if len(emails) == 1 else Access.nobody()

    def _add_members(
        self, session: Session, folder: Folder, found: dict[str, frozenset[str]]
    ) -> None:
        """By the ACL where this person may see it; else this person alone, if they may read."""
        status = session.status(folder.name)
        if status is None:
            return
        group = Place("", folder.name, status["UIDVALIDITY"]).group
        acl = session.acl(folder.name)
        members = found.get(group, frozenset())
        if acl is not None:
            members |= readers(acl, self._directory(), folder.owner)
        elif session.may_open(folder.name):
            members |= {session.person.email}
        found[group] = members

    def _directory(self) -> Directory:
        settings = self.settings
        return Directory(
            settings.known_accounts(),
            settings.groups_of_acls(),
            anyone=settings.anyone_is_accounts,
        )

    def _again(self, place: Place, uids: list[int]) -> Iterator[Change]:
        for person in self.settings.people():
            if place.login and person.login != place.login:
                continue
            with self._session(person) as session:
                shared = {folder.name: folder.shared for folder in session.folders()}
                if shared.get(place.folder) is not (not place.login):
                    continue
                if session.open(place.folder) == place.uidvalidity:
                    yield from self._reader(session, place).documents(uids)
                    return

    def _content(self) -> str:
        folders = messages = 0
        for _, _, _, status in self._walk():
            folders, messages = folders + 1, messages + status["MESSAGES"]
        if not folders:
            raise SourceFault("No folder can be read.", "Check the folder patterns.")
        return f"{folders} folders with {messages} messages can be read."

    def _permissions(self) -> Check:
        hidden, unknown, shared = 0, set(), 0
        try:
            for session, folder, _, _ in self._walk():
                if not folder.shared:
                    continue
                shared += 1
                acl = session.acl(folder.name)
                hidden += acl is None
                unknown |= set(unstated(acl or [], self._directory(), folder.owner))
        except SourceFault as fault:
            return Check("permissions", Outcome.INDETERMINATE, fault.message, fault.fix)
        words = f"Own folders are for their owner alone; {shared} shared folders."
        if hidden or unknown:
            named = f" Not stated who they are: {', '.join(sorted(unknown))}." if unknown else ""
            return Check(
                "permissions",
                Outcome.INDETERMINATE,
                f"{words} The ACL of {hidden} cannot be seen.{named}",
                "Give the account the right a on them; state accounts and groups in the settings.",
            )
        return Check("permissions", Outcome.PASSED, words)
