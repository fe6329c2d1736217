"""The intents' versions and the one draft, in the database. Publishing is one insert: two admins cannot both be the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import IntentDraftRow, IntentVersionRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import IntentsChanged
from app.routing.edits import Edits

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Version:
    """`number` 0 is the file alone, published by nobody."""

    number: int = 0
    edits: Edits = field(default_factory=Edits)
    published_by: str = ""
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """The one draft, which all admins share. `base` is the version that was in force when it was begun."""

    base: int
    edits: Edits
    changed_by: str
    changed_at: datetime


class IntentVersions:
    """The caller has asked Policy.administer before `edit`, `discard` and `publish`."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    def latest(self) -> Version:
        with self._database.read() as session:
            return _latest(session)

    def history(self) -> list[Version]:
        """The newest versions, newest first; version 0 is not among them."""
        newest = select(IntentVersionRow).order_by(col(IntentVersionRow.version).desc())
        with self._database.read() as session:
            return [_version(row) for row in session.execute(newest.limit(SHOWN)).scalars()]

    def draft(self) -> Draft | None:
        with self._database.read() as session:
            row = session.get(IntentDraftRow, 1)
            if row is None:
                return None
            edits = Edits.model_validate(row.edits)
            return Draft(row.base, edits, row.changed_by, row.changed_at)

    def edit(self, actor: Person, change: Callable[[Edits], Edits]) -> Edits:
        """Changes the draft, or begins one from what is in force. Raises what `change` raises, and InputError when another
        admin began a draft at the same moment."""
        try:
            with self._database.write() as session:
                return self._edit(session, actor, change)
        except IntegrityError as error:
            raise InputError(
                "Somebody else began a draft at the same moment.", fix="Reload the page."
            ) from error

    def restore(self, actor: Person, number: int) -> Edits:
        """Makes an earlier version the draft; 0 is the file alone. Raises NotFound."""
        with self._database.read() as session:
            row = session.get(IntentVersionRow, number)
        if row is None and number:
            raise NotFound(f"There is no version {number} of the intents.")
        edits = Edits.model_validate(row.edits) if row else Edits()
        return self.edit(actor, lambda _: edits)

    def discard(self, actor: Person) -> None:
        """Harmless where there is no draft."""
        with self._database.write() as session:
            if row := session.get(IntentDraftRow, 1):
                session.delete(row)
                event = IntentsChanged(
                    actor=actor.id, change="discarded", version=row.base, intents={}
                )
                self._ledger.append(session, event)

    def publish(self, actor: Person) -> Version:
        """Raises InputError where there is no draft, or another version was published since it was begun."""
        try:
            with self._database.write() as session:
                return self._publish(session, actor)
        except IntegrityError as error:  # two processes at once
            raise _overtaken() from error

    def _edit(self, session: Session, actor: Person, change: Callable[[Edits], Edits]) -> Edits:
        row = session.get(IntentDraftRow, 1, with_for_update=True)
        if row is None:
            latest = _latest(session)
            row = IntentDraftRow(base=latest.number, edits=latest.edits.model_dump(), changed_by="")
        before = Edits.model_validate(row.edits)
        edits = change(before)
        row.edits, row.changed_by, row.changed_at = edits.model_dump(), actor.id, now()
        session.add(row)
        self._ledger.append(
            session,
            IntentsChanged(
                actor=actor.id,
                change="drafted",
                version=row.base,
                intents=edits.differs(before),
            ),
        )
        return edits

    def _publish(self, session: Session, actor: Person) -> Version:
        row = session.get(IntentDraftRow, 1, with_for_update=True)
        if row is None:
            raise InputError("There is no draft to publish.", fix="Change an intent first.")
        before = _latest(session)
        if row.base != before.number:
            raise _overtaken()
        edits = Edits.model_validate(row.edits)
        new = IntentVersionRow(
            version=before.number + 1, edits=edits.model_dump(), published_by=actor.id
        )
        session.add(new)
        session.delete(row)
        self._ledger.append(
            session,
            IntentsChanged(
                actor=actor.id,
                change="published",
                version=new.version,
                intents=edits.differs(before.edits),
            ),
        )
        return _version(new)


def _latest(session: Session) -> Version:
    newest = select(IntentVersionRow).order_by(col(IntentVersionRow.version).desc()).limit(1)
    row = session.execute(newest).scalars().first()
    return _version(row) if row else Version()


def _version(row: IntentVersionRow) -> Version:
    edits = Edits.model_validate(row.edits)
    return Version(row.version, edits, row.published_by, row.published_at)


def _overtaken() -> InputError:
    return InputError(
        "Somebody published other intents since this draft was begun.",
        fix="Discard the draft and make the change again on top of theirs.",
    )
