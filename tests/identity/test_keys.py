"""Personal API keys."""

from __future__ import annotations

from typing import Any

import pytest

from app.db import Database
from app.domain import Person, Role
from app.errors import Denied, InputError, NotFound, NotSignedIn
from app.identity import Identity
from app.records import Ledger
from tests.identity.conftest import Clock


@pytest.fixture
def ada(make_person: Any) -> Person:
    person: Person = make_person("Ada", groups=("sales",))
    return person


def test_a_key_is_its_owner(identity: Identity, ada: Person) -> None:
    secret, row = identity.keys.create(ada.id, " laptop ", 30, ada.id)
    assert secret.startswith("sb_")
    assert secret.startswith(row.prefix)
    assert row.name == "laptop"
    person, key_id = identity.keys.resolve(secret)
    assert key_id == row.id
    assert (person.id, person.principals, person.session_id) == (ada.id, ada.principals, "")


def test_only_a_hash_is_stored_and_nothing_is_logged(
    identity: Identity, ada: Person, database: Database, ledger: Ledger
) -> None:
    secret, row = identity.keys.create(ada.id, "laptop", 30, "system")
    identity.keys.revoke(ada, row.id)
    with database.engine.connect() as connection:
        rows = repr(connection.exec_driver_sql("SELECT * FROM api_key").all())
    log = "".join(ledger.export())
    assert secret not in rows + log
    assert '"type": "key_created"' in log
    assert '"type": "key_revoked"' in log


@pytest.mark.parametrize(
    "secret", ["", "sb_", "sb_invented", "Bearer x", "sb_" + "a" * 5000, "ключ"]
)
def test_anything_else_is_refused(identity: Identity, ada: Person, secret: str) -> None:
    identity.keys.create(ada.id, "laptop", 30, ada.id)
    with pytest.raises(NotSignedIn):
        identity.keys.resolve(secret)


def test_a_key_expires(identity: Identity, ada: Person, clock: Clock) -> None:
    secret, _row = identity.keys.create(ada.id, "laptop", 30, ada.id)
    clock.advance(days=29, hours=23)
    identity.keys.resolve(secret)
    clock.advance(hours=1)
    with pytest.raises(NotSignedIn, match="expired on"):
        identity.keys.resolve(secret)


def test_a_revoked_key_is_dead_at_once(identity: Identity, ada: Person) -> None:
    secret, row = identity.keys.create(ada.id, "laptop", 30, ada.id)
    identity.keys.revoke(ada, row.id)
    identity.keys.revoke(ada, row.id)
    with pytest.raises(NotSignedIn, match="revoked"):
        identity.keys.resolve(secret)


def test_people_revoke_their_own_keys_and_admins_everybodys(
    identity: Identity, ada: Person, make_person: Any
) -> None:
    eve, boss = make_person("Eve"), make_person("Boss", role=Role.ADMIN)
    _secret, row = identity.keys.create(ada.id, "laptop", 30, ada.id)
    with pytest.raises(NotFound):
        identity.keys.revoke(eve, row.id)
    identity.keys.revoke(boss, row.id)
    assert identity.keys.of(ada.id)[0].revoked_at is not None


def test_nobody_makes_a_key_for_somebody_else(
    identity: Identity, ada: Person, make_person: Any
) -> None:
    boss = make_person("Boss", role=Role.ADMIN)
    with pytest.raises(Denied):
        identity.keys.create(ada.id, "laptop", 30, boss.id)


@pytest.mark.parametrize(
    ("name", "days"), [("", 30), (" ", 30), ("x" * 81, 30), ("x", 0), ("x", 366), ("x", -1)]
)
def test_a_key_needs_a_name_and_a_sensible_life(
    identity: Identity, ada: Person, name: str, days: int
) -> None:
    with pytest.raises(InputError):
        identity.keys.create(ada.id, name, days, ada.id)


def test_there_is_an_end_to_keys(identity: Identity, ada: Person) -> None:
    for number in range(20):
        identity.keys.create(ada.id, f"key {number}", 1, ada.id)
    with pytest.raises(InputError, match="20 keys"):
        identity.keys.create(ada.id, "one more", 1, ada.id)


def test_use_is_noted_at_most_once_a_minute(identity: Identity, ada: Person, clock: Clock) -> None:
    secret, _row = identity.keys.create(ada.id, "laptop", 30, ada.id)
    identity.keys.resolve(secret)
    first = identity.keys.of(ada.id)[0].last_used_at
    clock.advance(seconds=30)
    identity.keys.resolve(secret)
    assert first is not None
    assert identity.keys.of(ada.id)[0].last_used_at == first
    clock.advance(seconds=31)
    identity.keys.resolve(secret)
    last = identity.keys.of(ada.id)[0].last_used_at
    assert last is not None
    assert last > first
