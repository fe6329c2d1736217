"""One folder's messages: what is new, what is gone, and each as documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connectors.contract import Access, Change, Context, Deletion, Document, Failure
from connectors.imap.ids import Place, read_id
from connectors.imap.message import Attachment, Mail, Unreadable, parse
from connectors.imap.session import Session
from connectors.imap.settings import ImapSettings

AT_ONCE = 100
CHECKPOINT_EVERY = 50
VERSION = "1"
"""Messages never change; this changes with the way they are turned into documents."""


class FolderReader:
    def __init__(
        self,
        session: Session,
        place: Place,
        access: Access,
        settings: ImapSettings,
        context: Context,
    ) -> None:
        self._session = session
        self._place = place
        self._access = access
        self._settings = settings
        self._context = context

    def changes(
        self, before: Mapping[str, Any], status: Mapping[str, int], known: Mapping[str, str]
    ) -> Iterator[Change | dict[str, Any]]:
        """Changes, and the folder's state (JSON). A folder whose numbers all stand still is not opened."""
        mine = [id for id in known if id.startswith(self._place.prefix)]
        had = {found[1] for id in mine if (found := read_id(id))}
        if (
            before.get("status") == dict(status)
            and before.get("had") == len(had)
            and "HIGHESTMODSEQ" in status
        ):
            yield dict(before)
            return
        if self._session.open(self._place.folder) != self._place.uidvalidity:
            return
        uids = set(self._session.uids())
        yield from (Deletion(id) for id in mine if (found := read_id(id)) and found[1] not in uids)
        failed = set(before.get("failed", ())) & uids
        new = sorted(uids - had - (failed if had else set()))
        for start in range(0, len(new), CHECKPOINT_EVERY):
            some = new[start : start + CHECKPOINT_EVERY]
            for change in self.documents(some):
                if isinstance(change, Failure) and (found := read_id(change.id)):
                    failed.add(found[1])
                yield change
            if self._context.cancelled():
                return
            done = min(start + CHECKPOINT_EVERY, len(new))
            self._context.progress(f"{self._place.folder}: {done} messages", done, len(new))
            yield {"failed": sorted(failed)}
        yield {"status": dict(status), "had": len(uids - failed), "failed": sorted(failed)}

    def documents(self, uids: Sequence[int]) -> Iterator[Change]:
        """Of the folder that is open, one message in memory at a time."""
        sizes = self._session.fetch(uids, "RFC822.SIZE", "FLAGS")
        for uid in uids:
            if self._context.cancelled():
                return
            line = sizes.get(uid)
            if line is None or b"\\Deleted" in line.get(b"FLAGS", ()):
                yield Deletion(self._place.id(uid))
                continue
            size = int(line.get(b"RFC822.SIZE", 0))
            if size > self._context.max_bytes:
                yield self._too_large(self._place.id(uid), self._subject(uid), size)
                continue
            body = self._session.fetch([uid], "BODY.PEEK[]", "INTERNALDATE").get(uid)
            if body is None:
                yield Deletion(self._place.id(uid))
                continue
            try:
                mail = parse(body.get(b"BODY[]") or b"")
            except Unreadable as error:
                fix = "Open it in a mail program, or leave its folder out."
                yield Failure(self._place.id(uid), self._subject(uid), str(error), fix)
                continue
            received = body.get(b"INTERNALDATE")
            yield from self._of(uid, mail, received if isinstance(received, datetime) else None)

    def ids(self) -> Iterator[str]:
        """Every document of the folder, attachments included."""
        if self._session.open(self._place.folder) == self._place.uidvalidity:
            uids = self._session.uids()
            for start in range(0, len(uids), AT_ONCE):
                for change in self.documents(uids[start : start + AT_ONCE]):
                    if isinstance(change, Document):
                        yield change.id

    def _of(self, uid: int, mail: Mail, received: datetime | None) -> Iterator[Change]:
        at = mail.sent_at or (received.astimezone(UTC) if received else None)
        if len(mail.content) <= self._context.max_bytes:
            yield self._document(uid, 0, mail.subject, mail.content, mail.mime, mail, at)
        for part in mail.attachments:
            yield self._attachment(uid, part, mail, at)

    def _attachment(self, uid: int, part: Attachment, mail: Mail, at: datetime | None) -> Change:
        if len(part.content) > self._context.max_bytes:
            id = self._place.id(uid, part.number)
            return self._too_large(id, part.name, len(part.content))
        title = f"{part.name} ({mail.subject})" if mail.subject else part.name
        return self._document(uid, part.number, title, part.content, part.mime, mail, at)

    def _document(
        self,
        uid: int,
        part: int,
        title: str,
        content: bytes,
        mime: str,
        mail: Mail,
        at: datetime | None,
    ) -> Document:
        folder = self._place.folder
        owner = next(iter(self._access.users), "")
        return Document(
            id=self._place.id(uid, part),
            title=title or "(no subject)",
            content=content,
            mime=mime,
            version=VERSION,
            access=self._access,
            data_class=self._settings.data_class,
            url=self._link(uid, mail.message_id),
            space=f"{owner}: {folder}" if self._place.login else folder,
            modified_at=at,
        )

    def _link(self, uid: int, message_id: str) -> str:
        values = {"folder": self._place.folder, "uid": str(uid), "message_id": message_id}
        return re.sub(
            r"\{(folder|uid|message_id)\}",
            lambda hole: quote(values[hole[1]], safe=""),
            self._settings.link,
        )

    def _subject(self, uid: int) -> str:
        line = self._session.fetch([uid], "BODY.PEEK[HEADER.FIELDS (SUBJECT)]").get(uid, {})
        raw = next((v for k, v in line.items() if k.startswith(b"BODY[") and v), b"")
        try:
            subject = parse(raw).subject
        except Unreadable:
            subject = ""
        return subject or f"{self._place.folder}, message {uid}"

    def _too_large(self, id: str, name: str, size: int) -> Failure:
        limit = self._context.max_bytes
        cause = f"It has {size:,} bytes; the limit is {limit:,}."
        return Failure(id, name, cause, "Take its attachments out, or leave its folder out.")
