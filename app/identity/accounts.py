"""People as Switchboard knows them: found by the provider's subject, shown by e-mail address, changed by admins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, func, select, update
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import ApiKeyRow, PersonPrincipalRow, PersonRow, SessionRow
from app.domain import Person, Role, now
from app.errors import Denied, InputError, NotFound
from app.identity.faults import fault
from app.identity.groups import Directory
from app.records import Ledger
from app.records.events import KeyRevoked, PersonChanged, SessionRevoked


class Accounts:
    """Reads and changes people. Changes need an admin as `actor` and are recorded with what was before."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        directory: Directory,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._principals = select(col(PersonPrincipalRow.principal)).where(
            col(PersonPrincipalRow.person_id) == bindparam("person_id")
        )

    def get(self, person_id: str) -> PersonRow | None:
        with self._database.read() as session:
            return session.get(PersonRow, person_id)

    def by_email(self, email: str) -> PersonRow | None:
        with self._database.read() as session:
            return _find(session, col(PersonRow.email) == normal(email))

    def people(self) -> list[PersonRow]:
        """Everybody, inactive ones too, by team and name."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(PersonRow).order_by(col(PersonRow.team), col(PersonRow.name))
                ).scalars()
            )

    def empty(self, names: Iterable[str]) -> list[str]:
        """Those of these teams (`team:Sales`) and groups (`group:idp/finance`) that no active person is in, as far as known."""
        wanted, active = list(names), col(PersonRow.active).is_(True)
        held = (
            select(col(PersonPrincipalRow.principal))
            .join(PersonRow, col(PersonRow.id) == col(PersonPrincipalRow.person_id))
            .where(active, col(PersonPrincipalRow.principal).in_(wanted))
        )
        with self._database.read() as session:
            teams = session.execute(select(col(PersonRow.team)).where(active).distinct()).scalars()
            known = {f"team:{team}" for team in teams} | set(session.execute(held).scalars())
        return [name for name in wanted if name not in known]

    def person(self, person_id: str, session_id: str = "") -> Person | None:
        """The domain value with expanded principals; None for somebody unknown or inactive."""
        with self._database.read() as session:
            row = session.get(PersonRow, person_id)
            if row is None or not row.active:
                return None
            principals = self.principals(session, person_id)
        return Person(row.id, row.email, row.name, Role(row.role), row.team, principals, session_id)

    def principals(self, session: Session, person_id: str) -> frozenset[str]:
        """Exactly what is stored: nobody is added here, so somebody never expanded may see nothing."""
        rows = session.connection().execute(self._principals, {"person_id": person_id})
        return frozenset(rows.scalars())

    def upsert(
        self,
        session: Session,
        *,
        issuer: str,
        subject: str,
        email: str,
        name: str,
        role: Role,
        team: str,
        groups: Iterable[str],
    ) -> PersonRow:
        """Makes or refreshes a person from what the provider says, with direct groups and principals.

        The provider's subject identifies; the address may change. A role that an admin pinned stays, and `active` is never
        touched. Empty `issuer` and `subject` (a seed) match by address and leave both as they are.

        Raises SignInError `account_conflict` when the address belongs to another subject of the same issuer: a recycled
        address must not inherit somebody's chats.
        """
        email = normal(email)
        row = self._known(session, issuer, subject, email)
        if row is None:
            row = PersonRow(email=email, name=name, created_at=self._clock())
            session.add(row)
        elif row.email != email:
            self._directory.rename_member(session, row.email, email)
        row.email, row.name, row.team = email, name, team
        if not row.role_pinned:
            row.role = role.value
        if subject:
            row.issuer, row.subject = issuer, subject
        session.flush()
        self._directory.set_direct_groups(session, email, groups)
        self._directory.expand(session, row.id, email)
        return row

    def _known(self, session: Session, issuer: str, subject: str, email: str) -> PersonRow | None:
        by_email = _find(session, col(PersonRow.email) == email)
        if not subject:
            return by_email
        by_subject = _find(
            session, (col(PersonRow.issuer) == issuer) & (col(PersonRow.subject) == subject)
        )
        if by_subject is not None:
            if by_email is not None and by_email.id != by_subject.id:
                raise fault("account_conflict", detail=f"{by_subject.id} claims {by_email.id}")
            return by_subject
        if by_email is not None and by_email.subject and by_email.issuer == issuer:
            raise fault("account_conflict", detail=f"another subject for {by_email.id}")
        return by_email

    def set_role(self, actor: Person, person_id: str, role: Role | None) -> None:
        """Pins a role; None unpins, so that the provider's groups decide again at the next sign-in.

        Raises Denied for anyone but an admin, NotFound, and InputError when the last admin would go.
        """
        _admins_only(actor)
        with self._database.write() as session:
            row = _existing(session, person_id)
            if role is not None and role is not Role.ADMIN:
                _keep_an_admin(session, row)
            was = row.role
            row.role_pinned = role is not None
            if role is not None:
                row.role = role.value
            change = {"role": row.role, "was": was, "pinned": str(row.role_pinned).lower()}
            session.flush()
            self._record(session, actor, row, change)

    def set_active(self, actor: Person, person_id: str, active: bool) -> None:
        """Deactivating ends every session and key in the same transaction; reactivating brings none of them back.

        Raises Denied for anyone but an admin, NotFound, and InputError for oneself or the last admin.
        """
        _admins_only(actor)
        with self._database.write() as session:
            row = _existing(session, person_id)
            if row.active == active:
                return
            if not active:
                if row.id == actor.id:
                    raise InputError(
                        "You cannot deactivate your own account.", fix="Ask another admin."
                    )
                _keep_an_admin(session, row)
                self._end_access(session, actor, row.id)
            row.active = active
            session.flush()
            self._record(session, actor, row, {"active": str(active).lower()})

    def _end_access(self, session: Session, actor: Person, person_id: str) -> None:
        for session_id in _end(session, SessionRow, person_id, self._clock()):
            self._ledger.append(
                session, SessionRevoked(actor=actor.id, subject=session_id, person=person_id)
            )
        for key_id in _end(session, ApiKeyRow, person_id, self._clock()):
            self._ledger.append(
                session, KeyRevoked(actor=actor.id, subject=key_id, person=person_id)
            )

    def _record(
        self, session: Session, actor: Person, row: PersonRow, change: dict[str, str]
    ) -> None:
        self._ledger.append(
            session,
            PersonChanged(actor=actor.id, subject=row.id, person=row.email, change=change),
        )


def normal(email: str) -> str:
    """How addresses are stored and compared."""
    return email.strip().lower()


def _find(session: Session, condition: ColumnElement[bool]) -> PersonRow | None:
    return session.execute(select(PersonRow).where(condition)).scalars().one_or_none()


def _existing(session: Session, person_id: str) -> PersonRow:
    row = session.get(PersonRow, person_id)
    if row is None:
        raise NotFound("There is no such person.", fix="Reload the list of people.")
    return row


def _admins_only(actor: Person) -> None:
    """The last line of defence; pages and routes ask app.access first."""
    if actor.role is not Role.ADMIN:
        raise Denied("Only an admin may change people.", reason="not an admin")


def _keep_an_admin(session: Session, row: PersonRow) -> None:
    if row.role != Role.ADMIN.value or not row.active:
        return
    others = session.execute(
        select(func.count())
        .select_from(PersonRow)
        .where(
            col(PersonRow.role) == Role.ADMIN.value,
            col(PersonRow.active).is_(True),
            col(PersonRow.id) != row.id,
        )
    ).scalar_one()
    if not others:
        raise InputError(
            f"{row.name} is the last active admin.", fix="Make somebody else an admin first."
        )


def _end(
    session: Session,
    table: type[SessionRow] | type[ApiKeyRow],
    person_id: str,
    moment: datetime,
) -> list[str]:
    """Revokes everything of one kind that a person still has; returns the ids."""
    live = (col(table.person_id) == person_id) & col(table.revoked_at).is_(None)
    ids = list(session.execute(select(col(table.id)).where(live)).scalars())
    forgotten = {"id_token": ""} if table is SessionRow else {}
    session.execute(update(table).where(live).values(revoked_at=moment, **forgotten))
    return ids
