"""Personal API keys: `sb_…`, shown once, stored as a hash, expiring, revocable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, bindparam, func, select, update
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import ApiKeyRow, PersonRow
from app.domain import Person, Role, now
from app.errors import Denied, InputError, NotFound, NotSignedIn
from app.identity.accounts import Accounts
from app.identity.opaque import LONGEST, digest, new_token
from app.records import Ledger
from app.records.events import KeyCreated, KeyRevoked

PREFIX = "sb_"
SHOWN = 9
LONGEST_LIFE_DAYS = 365
MOST_KEYS = 20
TOUCH_EVERY = timedelta(seconds=60)


class ApiKeys:
    """A key acts for its owner, with the owner's role and groups of that moment."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        accounts: Accounts,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._accounts = accounts
        self._clock = clock
        self._by_hash = _with_owner().where(col(ApiKeyRow.key_hash) == bindparam("hash"))

    def create(self, owner_id: str, name: str, days: int, actor_id: str) -> tuple[str, ApiKeyRow]:
        """The secret (never to be seen again) and its row.

        `actor_id` is the owner, or `system` for the command line: a key made for somebody else would be impersonation.
        Raises InputError for the name, the life (1-365 days) or too many keys, NotFound and Denied for the owner.
        """
        if actor_id not in (owner_id, "system"):
            raise Denied("A key can only be made by its owner.", reason="not the owner")
        name = name.strip()
        if not 1 <= len(name) <= 80:
            raise InputError("A key needs a name of 1 to 80 characters.")
        if not 1 <= days <= LONGEST_LIFE_DAYS:
            raise InputError(f"A key lives between 1 and {LONGEST_LIFE_DAYS} days.")
        secret, moment = new_token(PREFIX), self._clock()
        row = ApiKeyRow(
            person_id=owner_id,
            name=name,
            prefix=secret[:SHOWN],
            key_hash=digest(secret),
            created_at=moment,
            expires_at=moment + timedelta(days=days),
        )
        with self._database.write() as session:
            self._check_owner(session, owner_id, moment)
            session.add(row)
            session.flush()
            self._ledger.append(
                session,
                KeyCreated(
                    actor=actor_id,
                    subject=row.id,
                    person=owner_id,
                    name=name,
                    expires=row.expires_at.isoformat(),
                ),
            )
        return secret, row

    def _check_owner(self, session: Session, owner_id: str, moment: datetime) -> None:
        owner = session.get(PersonRow, owner_id)
        if owner is None:
            raise NotFound("There is no such person.")
        if not owner.active:
            raise Denied("This account is deactivated.", reason="inactive account")
        live = session.execute(
            select(func.count())
            .select_from(ApiKeyRow)
            .where(
                col(ApiKeyRow.person_id) == owner_id,
                col(ApiKeyRow.revoked_at).is_(None),
                col(ApiKeyRow.expires_at) > moment,
            )
        ).scalar_one()
        if live >= MOST_KEYS:
            raise InputError(
                f"You have {MOST_KEYS} keys already.", fix="Revoke one that is no longer used."
            )

    def resolve(self, secret: str) -> tuple[Person, str]:
        """The owner and the key's id. Raises NotSignedIn, with the cause where only the holder can learn it."""
        if not secret.startswith(PREFIX) or len(secret) > LONGEST:
            raise NotSignedIn("This is not a Switchboard key.", reason="malformed key")
        with self._database.read() as session:
            row = (
                session.connection().execute(self._by_hash, {"hash": digest(secret)}).one_or_none()
            )
            moment = self._clock()
            if row is None:
                raise _refused("This key is unknown.", "unknown key")
            if row.revoked_at is not None:
                raise _refused("This key was revoked.", "revoked key")
            if moment >= row.expires_at:
                raise _refused(f"This key expired on {row.expires_at:%d %B %Y}.", "expired key")
            if not row.active:
                raise _refused("The account of this key is deactivated.", "inactive account")
            principals = self._accounts.principals(session, row.person_id)
        if row.last_used_at is None or moment - row.last_used_at >= TOUCH_EVERY:
            self._touch(row.id, moment)
        person = Person(row.person_id, row.email, row.name, Role(row.role), row.team, principals)
        return person, row.id

    def _touch(self, key_id: str, moment: datetime) -> None:
        with self._database.write() as session:
            session.execute(
                update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id).values(last_used_at=moment)
            )

    def of(self, person_id: str) -> list[ApiKeyRow]:
        """All keys of a person, ended ones too, the newest first."""
        with self._database.read() as session:
            return list(
                session.execute(
                    select(ApiKeyRow)
                    .where(col(ApiKeyRow.person_id) == person_id)
                    .order_by(col(ApiKeyRow.created_at).desc())
                ).scalars()
            )

    def revoke(self, actor: Person, key_id: str) -> None:
        """Ends one's own key, or anybody's as an admin. Another's is NotFound to everyone else."""
        with self._database.write() as session:
            row = session.get(ApiKeyRow, key_id)
            if row is None or (row.person_id != actor.id and actor.role is not Role.ADMIN):
                raise NotFound("There is no such key.", fix="Reload the list of keys.")
            if row.revoked_at is not None:
                return
            row.revoked_at = self._clock()
            session.flush()
            self._ledger.append(
                session, KeyRevoked(actor=actor.id, subject=row.id, person=row.person_id)
            )


def _with_owner() -> Select[*tuple[Any, ...]]:
    """A key's life and its owner's account, by one statement: it is run for every request."""
    return select(
        col(ApiKeyRow.id),
        col(ApiKeyRow.person_id),
        col(ApiKeyRow.expires_at),
        col(ApiKeyRow.last_used_at),
        col(ApiKeyRow.revoked_at),
        col(PersonRow.email),
        col(PersonRow.name),
        col(PersonRow.role),
        col(PersonRow.team),
        col(PersonRow.active),
    ).join(PersonRow, col(PersonRow.id) == col(ApiKeyRow.person_id))


def _refused(message: str, reason: str) -> NotSignedIn:
    return NotSignedIn(message, reason=reason, fix="Make a new key on your keys page.")
