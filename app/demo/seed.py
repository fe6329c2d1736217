"""First start: the demo people, their groups and a connector on a copy of the demo company's folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from sqlalchemy import select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import EventRow, PersonRow
from app.demo.people import NAMESPACE, company_name, load_groups, load_people
from app.domain import Json, Person, Role
from app.identity import Accounts, Directory
from app.records import Ledger
from app.records.events import PersonChanged
from app.settings import Settings

COMPANY_FOLDER = Path(__file__).with_name("company")


class SeedIdentity(Protocol):
    @property
    def accounts(self) -> Accounts: ...
    @property
    def directory(self) -> Directory: ...


class SeedSync(Protocol):
    def add(
        self, actor: Person, kind: str, name: str, settings_json: Json, sync_every_s: int
    ) -> str: ...


class SeedServices(Protocol):
    """What seeding needs of `app.wiring.Services`."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def identity(self) -> SeedIdentity: ...
    @property
    def sync(self) -> SeedSync: ...


def seed(services: SeedServices) -> bool:
    """Fills an empty Switchboard with the demo company; True when it added anything.

    Does nothing when an identity provider is configured or SWITCHBOARD_DEMO is off, and never a second time: people are
    added to an empty table only, and a folder that an admin removed does not come back.
    """
    if not services.settings.demo or not services.settings.demo_issuer:
        return False
    people_added = seed_people(services)
    return seed_documents(services) or people_added


def who_can_sign_in() -> str:
    """A plain-text table of the demo people (name, team, role, e-mail), for the terminal."""
    rows = [("Name", "Team", "Role", "E-mail")]
    rows += [(p.name, p.team, p.role.label, p.email) for p in load_people()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    head, *body = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join([head, "  ".join("-" * width for width in widths), *body])


def copy_company(data_dir: Path) -> Path:
    """Copies the documents to `<data_dir>/demo-company`, where a visitor may edit them; an existing copy stays as it is."""
    target = (data_dir / "demo-company").resolve()
    if not target.exists():
        # Renamed at the end, so that a start cut short leaves no half company behind.
        unfinished = target.with_name("demo-company.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(COMPANY_FOLDER, unfinished)
        unfinished.rename(target)
    return target


def seed_people(services: SeedServices) -> bool:
    """Adds the demo people and groups where there is nobody yet; True when it did."""
    accounts, directory = services.identity.accounts, services.identity.directory
    with services.database.write() as session:
        if session.execute(select(col(PersonRow.id)).limit(1)).first() is not None:
            return False
        directory.replace_groups(session, NAMESPACE, load_groups())
        for person in load_people():
            # No subject yet: the first sign-in brings it and finds the person by address.
            row = accounts.upsert(
                session,
                issuer="",
                subject="",
                email=person.email,
                name=person.name,
                role=person.role,
                team=person.team,
                groups=person.groups,
            )
            change = {"role": person.role.value, "team": person.team, "source": "demo company"}
            services.ledger.append(
                session, PersonChanged(subject=row.id, person=person.email, change=change)
            )
    return True


def seed_documents(services: SeedServices) -> bool:
    """Connects a copy of the demo folder where nothing was ever connected; True when it did. Its sync runs in the
    background."""
    with services.database.read() as session:
        if _ever_had_a_connector(session):
            return False
    admin = _admin(services)
    if admin is None:
        return False
    services.sync.add(
        admin,
        "folder",
        f"{company_name()} documents",
        {"path": str(copy_company(services.settings.data_dir))},
        services.settings.sync_every_minutes * 60,
    )
    return True


def _ever_had_a_connector(session: Session) -> bool:
    """The log remembers connectors that are gone, too."""
    statement = select(col(EventRow.seq)).where(col(EventRow.type) == "connector_changed").limit(1)
    return session.execute(statement).first() is not None


def _admin(services: SeedServices) -> Person | None:
    """The demo admin; None where the people here are not the demo company's."""
    accounts = services.identity.accounts
    email = next(p.email for p in load_people() if p.role is Role.ADMIN)
    row = accounts.by_email(email)
    return accounts.person(row.id) if row is not None else None
