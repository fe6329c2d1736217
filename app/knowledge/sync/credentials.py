"""Credentials: named sets of secrets, sealed in the database, used by one connector or several of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy import delete, select
from sqlmodel import Session, col

from app import form_faults
from app.db.engine import Database
from app.db.tables import ConnectorRow, CredentialRow, SecretRow
from app.domain import Person, now
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import CredentialChanged
from app.sealing import Sealed, Sealer


@dataclass(frozen=True, slots=True)
class Credential:
    """What pages show of one; never its secrets. `fields` are those that are set."""

    id: str
    kind: str
    name: str
    fields: tuple[str, ...]
    connectors: tuple[str, ...]
    changed_at: datetime


class Credentials:
    def __init__(self, database: Database, ledger: Ledger, sealer: Sealer) -> None:
        self._database = database
        self._ledger = ledger
        self._sealer = sealer

    def all(self, kind: str | None = None) -> list[Credential]:
        """By name; of one kind where it is given."""
        with self._database.read() as session:
            rows = session.execute(select(CredentialRow).order_by(col(CredentialRow.name)))
            return [
                self._shown(session, row)
                for row in rows.scalars().all()
                if kind is None or row.kind == kind
            ]

    def add(
        self,
        session: Session,
        actor: Person | None,
        kind: str,
        name: str,
        secrets: Mapping[str, str],
    ) -> str:
        """Returns its id, in the caller's transaction. A name that another has gets a number. Form is checked by the caller."""
        row = CredentialRow(kind=kind, name=_free_name(session, name))
        session.add(row)
        session.flush()
        self._seal(session, row.id, secrets)
        self._record(session, actor, row, "added", sorted(secrets))
        return row.id

    def swap(self, actor: Person | None, credential_id: str, secrets: Mapping[str, str]) -> None:
        """Replaces the given fields; those left out stay. What uses it takes the new ones at its next piece of work."""
        with self._database.write() as session:
            row = _row(session, credential_id)
            row.changed_at = now()
            self._seal(session, credential_id, secrets)
            self._record(session, actor, row, "swapped", sorted(secrets))

    def remove(self, actor: Person | None, credential_id: str) -> None:
        """Raises InputError while a connector uses it."""
        with self._database.write() as session:
            row = _row(session, credential_id)
            used = _users(session, credential_id)
            if used:
                raise InputError(
                    f"'{row.name}' is used by {', '.join(used)}.",
                    fix="Give those connectors another credential first.",
                )
            self._delete(session, actor, row)

    def remove_unused(self, session: Session, credential_id: str | None) -> None:
        """With its last connector a credential goes, inside the caller's transaction."""
        if credential_id is None or _users(session, credential_id):
            return
        row = session.get(CredentialRow, credential_id)
        if row is not None:
            self._delete(session, None, row)

    def open(self, credential_id: str | None) -> dict[str, str]:
        """The secrets in the clear, for a connector that is about to work. Raises SealBroken, NotFound."""
        if credential_id is None:
            return {}
        with self._database.read() as session:
            _row(session, credential_id)
            rows = session.execute(
                select(SecretRow).where(col(SecretRow.credential_id) == credential_id)
            ).scalars()
            return {
                row.field: self._sealer.open(
                    Sealed(row.key_id, row.sealed), credential_id, row.field
                )
                for row in rows
            }

    def version(self, session: Session, credential_id: str | None) -> str:
        """Changes whenever the secrets do."""
        row = session.get(CredentialRow, credential_id) if credential_id else None
        return row.changed_at.isoformat() if row else ""

    def _seal(self, session: Session, credential_id: str, secrets: Mapping[str, str]) -> None:
        for field, value in secrets.items():
            sealed = self._sealer.seal(value, credential_id, field)
            session.merge(
                SecretRow(
                    credential_id=credential_id,
                    field=field,
                    key_id=sealed.key_id,
                    sealed=sealed.value,
                )
            )

    def _delete(self, session: Session, actor: Person | None, row: CredentialRow) -> None:
        session.execute(delete(SecretRow).where(col(SecretRow.credential_id) == row.id))
        self._record(session, actor, row, "deleted", [])
        session.delete(row)
        session.flush()

    def _shown(self, session: Session, row: CredentialRow) -> Credential:
        fields = session.execute(
            select(col(SecretRow.field)).where(col(SecretRow.credential_id) == row.id)
        ).scalars()
        return Credential(
            row.id,
            row.kind,
            row.name,
            tuple(sorted(fields)),
            tuple(_users(session, row.id)),
            row.changed_at,
        )

    def _record(
        self,
        session: Session,
        actor: Person | None,
        row: CredentialRow,
        change: str,
        fields: list[str],
    ) -> None:
        event = CredentialChanged.model_validate(
            {
                "actor": actor.id if actor else "system",
                "subject": row.id,
                "change": change,
                "name": row.name,
                "fields": fields,
            }
        )
        self._ledger.append(session, event)


def checked_secrets(model: type[BaseModel], given: Mapping[str, str]) -> dict[str, str]:
    """What was filled in, checked against a connector's secrets model. Raises InputError; never repeats a value."""
    filled = {name: value for name, value in given.items() if value}
    try:
        checked = model.model_validate(filled)
    except ValidationError as error:
        raise InputError(form_faults.first(model, error)) from None
    return {
        name: value.get_secret_value()
        for name in type(checked).model_fields
        if isinstance(value := getattr(checked, name), SecretStr) and value.get_secret_value()
    }


def _row(session: Session, credential_id: str) -> CredentialRow:
    row = session.get(CredentialRow, credential_id)
    if row is None:
        raise NotFound("There is no such credential.")
    return row


def _free_name(session: Session, name: str) -> str:
    taken = set(session.execute(select(col(CredentialRow.name))).scalars())
    numbered = (f"{name} {number}" for number in range(2, len(taken) + 3))
    return next(free for free in (name, *numbered) if free not in taken)


def _users(session: Session, credential_id: str) -> list[str]:
    return list(
        session.execute(
            select(col(ConnectorRow.name))
            .where(col(ConnectorRow.credential_id) == credential_id)
            .order_by(col(ConnectorRow.name))
        ).scalars()
    )
