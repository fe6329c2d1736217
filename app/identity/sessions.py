"""Sessions: an opaque token in a cookie, everything else here. Resolved at every page run, so kept cheap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import PersonRow, SessionRow
from app.domain import Person, Role, now
from app.errors import Denied, NotFound
from app.identity.accounts import Accounts
from app.identity.opaque import LONGEST, digest, new_token
from app.records import Ledger
from app.records.events import SessionRevoked, SignedIn, SignedOut
from app.settings import Settings

SESSION_COOKIE = "switchboard_session"
TOUCH_EVERY = timedelta(seconds=60)
KEEP_ENDED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that `revoke` ended; `id_token` is the provider's, for its own sign-out."""

    session_id: str
    person_id: str
    id_token: str


class Sessions:
    """Idle and absolute limits come from Settings; both are checked against `clock` at every resolve."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        accounts: Accounts,
        settings: Settings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._accounts = accounts
        self._clock = clock
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self._life = timedelta(hours=settings.session_hours)
        # A short idle limit needs finer notes of use, or somebody active would be signed out.
        self._touch_every = min(TOUCH_EVERY, self._idle / 4)
        self._by_token = _look_up_by(col(SessionRow.token_hash))
        self._by_id = _look_up_by(col(SessionRow.id))

    def create(self, person_id: str, user_agent: str = "", id_token: str = "") -> str:
        """Signs an active person in and returns the token, which is stored nowhere. Raises NotFound or Denied."""
        with self._database.write() as session:
            row = session.get(PersonRow, person_id)
            if row is None:
                raise NotFound("There is no such person.")
            if not row.active:
                raise Denied("This account is deactivated.", reason="inactive account")
            return self.open(session, row, user_agent, id_token)

    def open(
        self, session: Session, person: PersonRow, user_agent: str = "", id_token: str = ""
    ) -> str:
        """`create` inside the caller's `write()`, so that person and session are stored together or not at all."""
        moment, token = self._clock(), new_token()
        session.execute(
            delete(SessionRow).where(
                col(SessionRow.person_id) == person.id,
                col(SessionRow.expires_at) < moment - KEEP_ENDED,
            )
        )
        row = SessionRow(
            token_hash=digest(token),
            person_id=person.id,
            created_at=moment,
            last_seen_at=moment,
            expires_at=moment + self._life,
            user_agent=user_agent[:300],
            id_token=id_token,
        )
        session.add(row)
        person.last_seen_at = moment
        session.flush()
        principals = self._accounts.principals(session, person.id)
        self._ledger.append(
            session,
            SignedIn(
                actor=person.id,
                subject=row.id,
                issuer=person.issuer,
                email=person.email,
                role=person.role,
                groups=sum(principal.startswith("group:") for principal in principals),
            ),
        )
        return token

    def resolve(self, token: str | None) -> Person | None:
        """Whose token this is, or None when it is unknown, ended, idle too long, or the account is inactive.

        Two indexed reads; one write at most once a minute, to note that the session is in use.
        """
        if not token or len(token) > LONGEST:
            return None
        return self._look_up(self._by_token, digest(token))

    def resume(self, session_id: str) -> Person | None:
        """`resolve` for code that holds a Person of this session already and wants them as of now."""
        return self._look_up(self._by_id, session_id) if session_id else None

    def _look_up(self, statement: Any, key: str) -> Person | None:
        with self._database.read() as session:
            row = session.execute(statement, {"key": key}).one_or_none()
            moment = self._clock()
            if row is None or not self._alive(row, moment):
                return None
            principals = self._accounts.principals(session, row.person_id)
        if moment - row.last_seen_at >= self._touch_every:
            self._touch(row.id, row.person_id, moment)
        return Person(
            row.person_id, row.email, row.name, Role(row.role), row.team, principals, row.id
        )

    def _alive(self, row: Any, moment: datetime) -> bool:
        return bool(
            row.active
            and row.revoked_at is None
            and moment < row.expires_at
            and moment - row.last_seen_at <= self._idle
        )

    def _touch(self, session_id: str, person_id: str, moment: datetime) -> None:
        """The condition repeats the check: of several tabs at once, one writes."""
        with self._database.write() as session:
            touched = session.execute(
                update(SessionRow)
                .where(
                    col(SessionRow.id) == session_id,
                    col(SessionRow.revoked_at).is_(None),
                    col(SessionRow.last_seen_at) <= moment - self._touch_every,
                )
                .values(last_seen_at=moment)
                .returning(col(SessionRow.id))
            ).one_or_none()
            if touched:
                session.execute(
                    update(PersonRow)
                    .where(col(PersonRow.id) == person_id)
                    .values(last_seen_at=moment)
                )

    def revoke(self, token: str | None) -> Ended | None:
        """Signs out: ends this session only. None when there is nothing to end."""
        if not token or len(token) > LONGEST:
            return None
        with self._database.write() as session:
            row = session.execute(
                select(SessionRow).where(col(SessionRow.token_hash) == digest(token))
            ).scalar_one_or_none()
            if row is None or row.revoked_at is not None:
                return None
            ended = Ended(row.id, row.person_id, row.id_token)
            self._end(session, row)
            self._ledger.append(session, SignedOut(actor=row.person_id, subject=row.id))
            return ended

    def revoke_id(self, actor: Person, session_id: str) -> None:
        """Ends one's own session, or anybody's as an admin. Another's is NotFound to everyone else."""
        with self._database.write() as session:
            row = session.get(SessionRow, session_id)
            if row is None or (row.person_id != actor.id and actor.role is not Role.ADMIN):
                raise NotFound("There is no such session.", fix="Reload the list of sessions.")
            if row.revoked_at is not None:
                return
            self._end(session, row)
            self._ledger.append(
                session, SessionRevoked(actor=actor.id, subject=row.id, person=row.person_id)
            )

    def _end(self, session: Session, row: SessionRow) -> None:
        row.revoked_at, row.id_token = self._clock(), ""
        session.flush()

    def of(self, person_id: str) -> list[SessionRow]:
        """The sessions that still work, the latest used first."""
        moment = self._clock()
        with self._database.read() as session:
            return list(
                session.execute(
                    select(SessionRow)
                    .where(
                        col(SessionRow.person_id) == person_id,
                        col(SessionRow.revoked_at).is_(None),
                        col(SessionRow.expires_at) > moment,
                        col(SessionRow.last_seen_at) >= moment - self._idle,
                    )
                    .order_by(col(SessionRow.last_seen_at).desc())
                ).scalars()
            )


def _look_up_by(column: Any) -> Any:
    """One join for session and person, compiled once."""
    return (
        select(
            col(SessionRow.id),
            col(SessionRow.person_id),
            col(SessionRow.last_seen_at),
            col(SessionRow.expires_at),
            col(SessionRow.revoked_at),
            col(PersonRow.email),
            col(PersonRow.name),
            col(PersonRow.role),
            col(PersonRow.team),
            col(PersonRow.active),
        )
        .join(PersonRow, col(PersonRow.id) == col(SessionRow.person_id))
        .where(column == bindparam("key"))
    )
