"""The keys of providers' accounts: the one of the settings, and those that an admin stored, sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import ProviderKeyRow
from app.db.types import new_id
from app.domain import Person
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import ProviderKeyChanged
from app.routing.keys import Key
from app.sealing import SealBroken, Sealed, Sealer

SETTINGS_KEY = "settings"
PLACE = "provider_key"
SHORTEST, LONGEST = 8, 4_000


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What pages show of one."""

    id: str
    account: str
    ending: str
    added_by: str
    added_at: datetime


class Keyring:
    """`given` are the settings' keys by account; they come first and cannot be removed here."""

    def __init__(
        self, database: Database, ledger: Ledger, sealer: Sealer, given: Mapping[str, str]
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._sealer = sealer
        self._given = {account: secret for account, secret in given.items() if secret}

    def stored(self, account: str) -> list[StoredKey]:
        """Oldest first."""
        with self._database.read() as session:
            return [
                StoredKey(row.id, row.account, row.ending, row.added_by, row.added_at)
                for row in _rows(session, account)
            ]

    def given(self, account: str) -> str:
        """The last characters of the settings' key; empty without one."""
        return ending(self._given.get(account, ""))

    def ids(self) -> dict[str, tuple[str, ...]]:
        """Account to the ids of its stored keys: a cheap way to see that something changed."""
        found: dict[str, tuple[str, ...]] = {}
        with self._database.read() as session:
            order = (col(ProviderKeyRow.added_at), col(ProviderKeyRow.id))
            query = select(col(ProviderKeyRow.account), col(ProviderKeyRow.id)).order_by(*order)
            for account, key_id in session.execute(query):
                found[account] = (*found.get(account, ()), key_id)
        return found

    def keys(self, account: str) -> list[Key]:
        """With their secrets. One that no longer opens is left out."""
        keys = []
        if secret := self._given.get(account):
            keys.append(Key(f"{SETTINGS_KEY} {account}", secret, ending(secret)))
        with self._database.read() as session:
            rows = [(row.id, row.key_id, row.sealed, row.ending) for row in _rows(session, account)]
        for key_id, sealed_by, sealed, last in rows:
            try:
                secret = self._sealer.open(Sealed(sealed_by, sealed), key_id, PLACE)
            except SealBroken:
                continue
            keys.append(Key(key_id, secret, last))
        return keys

    def add(self, actor: Person, account: str, secret: str) -> str:
        """Stores a key and returns its id. Raises InputError, also for one that the account has."""
        secret = typed(secret).secret
        if self.holds(account, secret):
            raise InputError(
                f"The key …{ending(secret)} is there already.", fix="Paste another one."
            )
        key_id = new_id("pkey")
        sealed = self._sealer.seal(secret, key_id, PLACE)
        with self._database.write() as session:
            session.add(
                ProviderKeyRow(
                    id=key_id,
                    account=account,
                    ending=ending(secret),
                    key_id=sealed.key_id,
                    sealed=sealed.value,
                    added_by=actor.id,
                )
            )
            self._ledger.append(session, _event(actor, account, key_id, "added"))
        return key_id

    def holds(self, account: str, secret: str) -> bool:
        """Whether the account has this key, from the settings or stored."""
        return any(key.secret == secret.strip() for key in self.keys(account))

    def remove(self, actor: Person, key_id: str) -> None:
        """Raises NotFound."""
        with self._database.write() as session:
            row = session.get(ProviderKeyRow, key_id)
            if row is None:
                raise NotFound("There is no such key.", fix="Reload the page.")
            session.delete(row)
            self._ledger.append(session, _event(actor, row.account, key_id, "removed"))


def typed(secret: str) -> Key:
    """A key as somebody typed it. Raises InputError for what is none."""
    secret = secret.strip()
    if not SHORTEST <= len(secret) <= LONGEST or not secret.isprintable() or " " in secret:
        raise InputError(
            "That does not look like a key.", fix="Paste the key alone, without spaces."
        )
    return Key("typed", secret, ending(secret))


def ending(secret: str) -> str:
    """Its last four characters, fewer of a short one; all that is ever shown."""
    return secret[-4:] if len(secret) >= 12 else secret[-2:]


def _rows(session: Session, account: str) -> list[ProviderKeyRow]:
    query = select(ProviderKeyRow).where(col(ProviderKeyRow.account) == account)
    order = (col(ProviderKeyRow.added_at), col(ProviderKeyRow.id))
    return list(session.execute(query.order_by(*order)).scalars())


def _event(
    actor: Person, account: str, key_id: str, change: Literal["added", "removed"]
) -> ProviderKeyChanged:
    return ProviderKeyChanged(actor=actor.id, subject=key_id, account=account, change=change)
