"""First start: the demo people, their groups and a connector on a copy of the demo company's folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import EventRow, PersonRow
from app.demo.people import NAMESPACE, company_name, load_groups, load_people
from app.domain import Role
from app.identity import Identity
from app.records import Ledger
from app.records.events import PersonChanged
from app.settings import Settings

if TYPE_CHECKING:
    from app.knowledge.sync import Sync

COMPANY_FOLDER = Path(__file__).with_name("company")


class SeedServices(Protocol):
    """What seeding needs of `app.wiring.Services`."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def sync(self) -> Sync: ...


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
    """Connects a copy of the demo folder where nothing was ever connected and the demo people are at home; True when it
    did. The first sync is due at once and runs in the background."""
    admin = next(person for person in load_people() if person.role is Role.ADMIN)
    if services.identity.accounts.by_email(admin.email) is None:
        return False
    with services.database.read() as session:
        if _ever_had_a_connector(session):
            return False
    folder = copy_company(services.settings.data_dir)
    services.sync.add(None, "folder", f"{company_name()} documents", {"path": str(folder)})
    return True


def _ever_had_a_connector(session: Session) -> bool:
    """The log remembers connectors that are gone, too."""
    statement = select(col(EventRow.seq)).where(col(EventRow.type) == "connector_changed").limit(1)
    return session.execute(statement).first() is not None
