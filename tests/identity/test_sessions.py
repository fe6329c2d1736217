"""Sessions: who a token is, for how long, and how it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import event

from app.db import Database
from app.domain import Person, Role
from app.errors import Denied, NotFound
from app.identity import Identity
from app.records import Ledger
from app.settings import Settings
from tests.identity.conftest import Clock


@pytest.fixture
def ada(make_person: Any) -> Person:
    person: Person = make_person("Ada", groups=("sales",))
    return person


@pytest.fixture
def boss(make_person: Any) -> Person:
    person: Person = make_person("Boss", role=Role.ADMIN)
    return person


def test_a_token_is_its_person_with_all_principals(identity: Identity, ada: Person) -> None:
    token = identity.sessions.create(ada.id, user_agent="Firefox", id_token="eyJ")
    found = identity.sessions.resolve(token)
    assert found is not None
    assert found.session_id.startswith("sess_")
    assert (found.id, found.email, found.role, found.principals) == (
        ada.id,
        ada.email,
        ada.role,
        ada.principals,
    )
    assert identity.sessions.resume(found.session_id) == found


def test_only_a_hash_of_the_token_is_stored(
    identity: Identity, ada: Person, database: Database
) -> None:
    token = identity.sessions.create(ada.id)
    assert len(token) >= 43, "256 bits"
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM session").all()
    assert token not in repr(rows)


@pytest.mark.parametrize("token", [None, "", "x", "a" * 10_000, "\ud800", "'; DROP TABLE session"])
def test_anything_else_is_nobody(identity: Identity, ada: Person, token: str | None) -> None:
    identity.sessions.create(ada.id)
    assert identity.sessions.resolve(token) is None
    assert identity.sessions.revoke(token) is None


def test_the_stored_hash_is_not_a_token(identity: Identity, ada: Person) -> None:
    identity.sessions.create(ada.id)
    (row,) = identity.sessions.of(ada.id)
    assert identity.sessions.resolve(row.token_hash) is None
    assert identity.sessions.resolve(row.id) is None


def test_idleness_ends_a_session_and_use_keeps_it(
    identity: Identity, ada: Person, clock: Clock, settings: Settings
) -> None:
    token = identity.sessions.create(ada.id)
    for _ in range(4):
        clock.advance(minutes=settings.session_idle_minutes - 1)
        assert identity.sessions.resolve(token) is not None
    clock.advance(minutes=settings.session_idle_minutes, seconds=1)
    assert identity.sessions.resolve(token) is None
    assert identity.sessions.of(ada.id) == []


def test_no_use_outlives_the_absolute_end(
    identity: Identity, ada: Person, clock: Clock, settings: Settings
) -> None:
    token = identity.sessions.create(ada.id)
    hours = 0
    while identity.sessions.resolve(token) is not None:
        clock.advance(hours=1)
        hours += 1
    assert hours == settings.session_hours


def test_with_an_idle_limit_of_a_minute_steady_use_is_still_noticed(
    settings: Settings, database: Database, ledger: Ledger, clock: Clock, ada: Person
) -> None:
    short = settings.model_copy(update={"session_idle_minutes": 1})
    sessions = Identity.build(short, database, ledger, clock).sessions
    token = sessions.create(ada.id)
    for _ in range(10):
        clock.advance(seconds=40)
        assert sessions.resolve(token) is not None
    clock.advance(seconds=61)
    assert sessions.resolve(token) is None


def test_use_is_noted_at_most_once_a_minute(
    identity: Identity, ada: Person, clock: Clock, database: Database
) -> None:
    token = identity.sessions.create(ada.id)
    writes = _count_writes(database)
    for _ in range(20):
        identity.sessions.resolve(token)
        clock.advance(seconds=1)
    assert writes == []
    clock.advance(seconds=60)
    threads = [threading.Thread(target=identity.sessions.resolve, args=(token,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([text for text in writes if "UPDATE person" in text]) == 1
    (row,) = identity.sessions.of(ada.id)
    assert abs((clock() - row.last_seen_at).total_seconds()) < 5


def _count_writes(database: Database) -> list[str]:
    writes: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def _note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(("UPDATE", "INSERT", "DELETE")):
            writes.append(statement)

    return writes


def test_signing_out_of_one_session_leaves_the_others(identity: Identity, ada: Person) -> None:
    laptop, phone = identity.sessions.create(ada.id), identity.sessions.create(ada.id)
    ended = identity.sessions.revoke(laptop)
    assert ended is not None
    assert ended.person_id == ada.id
    assert identity.sessions.resolve(laptop) is None
    assert identity.sessions.resume(ended.session_id) is None
    assert identity.sessions.resolve(phone) is not None
    assert identity.sessions.revoke(laptop) is None


def test_an_id_token_is_given_back_once_and_forgotten(identity: Identity, ada: Person) -> None:
    token = identity.sessions.create(ada.id, id_token="eyJ.secret")
    ended = identity.sessions.revoke(token)
    assert ended is not None
    assert ended.id_token == "eyJ.secret"


def test_people_end_their_own_sessions_and_admins_everybodys(
    identity: Identity, ada: Person, boss: Person, make_person: Any
) -> None:
    eve = make_person("Eve", role=Role.TEAM_LEAD)
    token = identity.sessions.create(ada.id)
    (row,) = identity.sessions.of(ada.id)
    with pytest.raises(NotFound):
        identity.sessions.revoke_id(eve, row.id)
    with pytest.raises(NotFound):
        identity.sessions.revoke_id(eve, "sess_none")
    assert identity.sessions.resolve(token) is not None
    identity.sessions.revoke_id(boss, row.id)
    identity.sessions.revoke_id(ada, row.id)
    assert identity.sessions.resolve(token) is None


def test_what_happens_is_recorded(
    identity: Identity, ada: Person, boss: Person, ledger: Ledger
) -> None:
    first, _second = identity.sessions.create(ada.id), identity.sessions.create(ada.id)
    identity.sessions.revoke(first)
    (row,) = identity.sessions.of(ada.id)
    identity.sessions.revoke_id(boss, row.id)
    log = "".join(ledger.export())
    for name in ("signed_in", "signed_out", "session_revoked"):
        assert f'"type": "{name}"' in log
    assert first not in log
    assert ledger.verify().broken is None


def test_nobody_inactive_or_unknown_gets_a_session(
    identity: Identity, ada: Person, boss: Person
) -> None:
    identity.accounts.set_active(boss, ada.id, False)
    with pytest.raises(Denied):
        identity.sessions.create(ada.id)
    with pytest.raises(NotFound):
        identity.sessions.create("person_none")


def test_a_role_change_counts_at_the_next_resolve(
    identity: Identity, ada: Person, boss: Person
) -> None:
    token = identity.sessions.create(ada.id)
    identity.accounts.set_role(boss, ada.id, Role.TEAM_LEAD)
    found = identity.sessions.resolve(token)
    assert found is not None
    assert found.role is Role.TEAM_LEAD


def test_sessions_long_ended_are_cleared_away(
    identity: Identity, ada: Person, clock: Clock, database: Database
) -> None:
    identity.sessions.create(ada.id)
    clock.advance(days=40)
    identity.sessions.create(ada.id)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM session").scalar() == 1


def test_resolving_costs_two_statements(
    identity: Identity, ada: Person, database: Database
) -> None:
    token = identity.sessions.create(ada.id)
    identity.sessions.resolve(token)
    statements: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def _count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    for _ in range(10):
        assert identity.sessions.resolve(token) is not None
    assert len(statements) == 20
