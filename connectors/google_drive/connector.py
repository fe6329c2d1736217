"""The Google Drive connector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.contract import (
    Access,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Limits,
    Listed,
    Reader,
    SourceFault,
    Unchanged,
)
from connectors.google_drive.api import DriveApi
from connectors.google_drive.auth import Key, NoSuchAccount, Tokens
from connectors.google_drive.content import document, mime_of, version_of
from connectors.google_drive.model import Corpus, File
from connectors.google_drive.permissions import Directory, Readers
from connectors.google_drive.settings import GoogleDriveSecrets, GoogleDriveSettings

BATCH = 100


class GoogleDriveConnector(Connector):
    kind = "google_drive"
    title = "Google Drive"
    description = "Documents of shared drives and of people, for those they are shared with."
    category = "Files"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text("utf-8")
    settings_model = GoogleDriveSettings
    secrets_model = GoogleDriveSecrets
    limits = Limits(permissions_every_s=600, groups_every_s=600)
    settings: GoogleDriveSettings
    secrets: GoogleDriveSecrets
    _opened: DriveApi | None = None

    # --- Checks ---

    def validate(self) -> list[Check]:
        return [
            Check.attempt("content", self._see_content),
            Check.attempt("permissions", self._see_sharing),
            Check.attempt("groups", self._see_directory),
        ]

    def _see_content(self) -> str:
        corpora = self._corpora()
        if not corpora:
            raise SourceFault(
                "The account is a member of no shared drive, and nobody's own files are named.",
                "Add it to a shared drive, or name people.",
            )
        for corpus in corpora:
            self._api.files(corpus)
        drives = sum(bool(corpus.drive) for corpus in corpora)
        return (
            f"{drives} shared drives and the files of {len(corpora) - drives} people can be read."
        )

    def _see_sharing(self) -> str:
        drives = [corpus for corpus in self._corpora() if corpus.drive]
        hidden = [d.name for d in drives if self._api.permissions(d.subject, d.drive) is None]
        if hidden:
            raise SourceFault(
                f"The account cannot see who is in the shared drive {hidden[0]}.",
                "Make it a content manager there.",
            )
        return f"The sharing of {len(drives)} shared drives can be seen."

    def _see_directory(self) -> str:
        directory = Directory(self._api)
        groups = len({group.id for group in directory.by_address.values()})
        return f"{len(directory.active)} active people and {groups} groups."

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Everything once, then what Drive says has changed; the sharing of folders is `list_ids`' to tell."""
        places: dict[str, Any] = dict(checkpoint.get("corpora") or {}) if known else {}
        corpora = self._corpora()
        places = {corpus.key: places.get(corpus.key) or {} for corpus in corpora}
        whole = not any(places.values())
        readers = self._readers()
        for number, corpus in enumerate(corpora, start=1):
            self.context.progress(corpus.name, number, len(corpora))
            for change in self._read(corpus, places, readers, known):
                if self.context.cancelled():
                    return
                yield change
        if self.context.cancelled():
            return
        yield Checkpoint({"corpora": places}, complete=whole)

    def _read(
        self,
        corpus: Corpus,
        places: dict[str, Any],
        readers: Readers,
        known: Mapping[str, str],
    ) -> Iterator[Change]:
        if places[corpus.key].get("listed"):
            token = str(places[corpus.key]["token"])
            while (page := self._api.changes(corpus, token)) is not None:
                yield from (Deletion(id) for id in page.gone)
                yield from self._changed(corpus, page.files, readers, known)
                token = page.token
                places[corpus.key] = {"token": token, "listed": True}
                yield Checkpoint({"corpora": dict(places)})
                if not page.more:
                    return
            places[corpus.key] = {}  # the token no longer holds: all is listed again
        yield from self._list(corpus, places, readers, known)

    def _list(
        self,
        corpus: Corpus,
        places: dict[str, Any],
        readers: Readers,
        known: Mapping[str, str],
    ) -> Iterator[Change]:
        """What changes meanwhile comes with the token that is taken first."""
        place = places[corpus.key]
        token = str(place.get("token") or self._api.start_token(corpus))
        page = str(place.get("page") or "")
        folders = self._folders(corpus)
        while True:
            found = self._api.files(corpus, page)
            if found is None:
                page = ""
                continue
            for number, file in enumerate(found.files, start=1):
                if mime_of(file):
                    yield self._change(corpus, file, readers.of(corpus, file, folders), known)
                if number % BATCH == 0:
                    yield Checkpoint({"corpora": dict(places)})
            page = found.following
            places[corpus.key] = {"token": token, "page": page, "listed": not page}
            yield Checkpoint({"corpora": dict(places)})
            if not page:
                return

    def _changed(
        self, corpus: Corpus, files: Iterable[File], readers: Readers, known: Mapping[str, str]
    ) -> Iterator[Change]:
        for file in files:
            if file.trashed or not self._inside(corpus, file) or not mime_of(file):
                yield Deletion(file.id)
            else:
                yield self._change(corpus, file, readers.of(corpus, file), known)

    def _change(
        self, corpus: Corpus, file: File, access: Access, known: Mapping[str, str]
    ) -> Change:
        data_class = self.settings.data_class
        if known.get(file.id) == version_of(file):
            return Unchanged(file.id, access, data_class)
        return document(self._api, corpus, file, access, data_class, self.context.max_bytes)

    def list_ids(self) -> Iterator[Listed]:
        readers = self._readers()
        for corpus in self._corpora():
            folders = self._folders(corpus)
            for file in self._api.all_files(corpus):
                if mime_of(file):
                    access = readers.of(corpus, file, folders)
                    yield Listed(file.id, version_of(file), access, self.settings.data_class)

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        corpora, readers = self._corpora(), self._readers()
        for id in ids:
            found = self._find(corpora, id)
            if found is None:
                yield Deletion(id)
            else:
                corpus, file = found
                yield self._change(corpus, file, readers.of(corpus, file), {})

    def _find(self, corpora: Sequence[Corpus], id: str) -> tuple[Corpus, File] | None:
        for subject in dict.fromkeys(corpus.subject for corpus in corpora):
            file = self._api.file(subject, id)
            if file is None or file.trashed or not mime_of(file):
                continue
            for corpus in corpora:
                if corpus.subject == subject and self._inside(corpus, file):
                    return corpus, file
        return None

    # --- Permissions ---

    def groups(self) -> Mapping[str, frozenset[str]]:
        return Directory(self._api).groups()

    def may_read(self, document_id: str, reader: Reader) -> bool:
        """Asks Drive as the person."""
        try:
            file = self._api.file(reader.email.strip().lower(), document_id)
        except NoSuchAccount:
            return False
        return file is not None and not file.trashed

    # --- Parts ---

    @property
    def _api(self) -> DriveApi:
        """One for this piece of work: it keeps its tokens and connections."""
        if self._opened is None:
            key = Key.parse(self.secrets.key.get_secret_value())
            self._opened = DriveApi(self.context, self.settings, Tokens(self.context, key))
        return self._opened

    def _readers(self) -> Readers:
        api = self._api
        return Readers(api, Directory(api), self.settings.links, self.context.clock())

    def _folders(self, corpus: Corpus) -> Mapping[str, File] | None:
        if not corpus.drive:
            return None  # a person's own files tell their sharing themselves
        return {folder.id: folder for folder in self._api.all_files(corpus, folders=True)}

    def _inside(self, corpus: Corpus, file: File) -> bool:
        return file.drive == corpus.drive and (bool(corpus.drive) or file.own)

    def _corpora(self) -> list[Corpus]:
        wanted = {name.strip().lower() for name in self.settings.drives}
        unwanted = {name.strip().lower() for name in self.settings.exclude}
        found = []
        for drive in self._api.drives():
            names = {drive.name.lower(), drive.drive.lower()}
            if (not wanted or names & wanted) and not names & unwanted:
                found.append(drive)
        people = dict.fromkeys(email.strip().lower() for email in self.settings.people)
        return found + [Corpus(f"user:{email}", f"Files of {email}", email) for email in people]
