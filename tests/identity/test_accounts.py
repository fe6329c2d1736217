"""People: found, refreshed, promoted, deactivated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.db import Database
from app.db.tables import PersonRow
from app.domain import EVERYONE, Person, Role
from app.errors import Denied, InputError, NotFound, NotSignedIn, SignInError
from app.identity import Identity
from app.records import Ledger


@pytest.fixture
def boss(make_person: Any) -> Person:
    person: Person = make_person("Boss", role=Role.ADMIN)
    return person


@pytest.fixture
def ada(make_person: Any) -> Person:
    person: Person = make_person("Ada")
    return person


def upsert(identity: Identity, database: Database, **changes: Any) -> PersonRow:
    said: dict[str, Any] = {
        "issuer": "https://sso.test",
        "subject": "u-1",
        "email": "Ada@Example.Test ",
        "name": "Ada",
        "role": Role.EMPLOYEE,
        "team": "Sales",
        "groups": ("sales",),
        **changes,
    }
    with database.write() as session:
        return identity.accounts.upsert(session, **said)


def test_addresses_are_compared_without_case(identity: Identity, database: Database) -> None:
    row = upsert(identity, database)
    assert row.email == "ada@example.test"
    found = identity.accounts.by_email(" ADA@example.test")
    assert found is not None
    assert found.id == row.id
    assert identity.accounts.by_email("nobody@example.test") is None


def test_a_seeded_person_is_taken_over_by_the_first_sign_in(
    identity: Identity, database: Database
) -> None:
    seeded = upsert(identity, database, issuer="", subject="", role=Role.TEAM_LEAD)
    again = upsert(identity, database, issuer="", subject="")
    signed_in = upsert(identity, database)
    assert seeded.id == again.id == signed_in.id
    assert signed_in.subject == "u-1"
    assert upsert(identity, database, issuer="", subject="").subject == "u-1"


def test_a_new_provider_takes_over_by_address(identity: Identity, database: Database) -> None:
    before = upsert(identity, database)
    after = upsert(identity, database, issuer="https://new.test", subject="n-9")
    assert before.id == after.id
    assert (after.issuer, after.subject) == ("https://new.test", "n-9")


def test_two_subjects_of_one_provider_never_share_an_account(
    identity: Identity, database: Database
) -> None:
    upsert(identity, database)
    upsert(identity, database, subject="u-2", email="bob@example.test")
    for clash in ({"subject": "u-3"}, {"subject": "u-2"}):
        with pytest.raises(SignInError) as caught:
            upsert(identity, database, **clash)
        assert caught.value.reason == "account_conflict"


def test_a_person_is_what_is_stored(identity: Identity, database: Database) -> None:
    row = upsert(identity, database)
    person = identity.accounts.person(row.id, "sess_1")
    assert person is not None
    assert person.principals == {EVERYONE, "user:ada@example.test", "group:idp/sales"}
    assert person.session_id == "sess_1"
    assert identity.accounts.person("person_none") is None


def test_somebody_never_expanded_has_no_principals(identity: Identity, database: Database) -> None:
    row = PersonRow(email="new@example.test", name="New")
    with database.write() as session:
        session.add(row)
    person = identity.accounts.person(row.id)
    assert person is not None
    assert person.principals == frozenset()


def test_people_are_listed_by_team_and_name(identity: Identity, make_person: Any) -> None:
    for name, team in (("Zoe", "Sales"), ("Bob", "Sales"), ("Cy", "Engineering")):
        make_person(name, team=team)
    assert [row.name for row in identity.accounts.people()] == ["Cy", "Bob", "Zoe"]


def test_a_role_is_pinned_and_unpinned(
    identity: Identity, database: Database, boss: Person, ledger: Ledger
) -> None:
    row = upsert(identity, database)
    identity.accounts.set_role(boss, row.id, Role.ADMIN)
    assert upsert(identity, database).role == "admin"
    identity.accounts.set_role(boss, row.id, None)
    assert upsert(identity, database).role == "employee"
    first = json.loads(next(ledger.export()))["event"]
    assert first["type"] == "person_changed"
    assert first["actor"] == boss.id
    assert first["change"] == {"role": "admin", "was": "employee", "pinned": "true"}


def test_deactivating_ends_sessions_and_keys_at_once(
    identity: Identity, ada: Person, boss: Person, ledger: Ledger
) -> None:
    tokens = [identity.sessions.create(ada.id, id_token="eyJ") for _ in range(2)]
    secret, _row = identity.keys.create(ada.id, "laptop", 30, ada.id)
    others = identity.sessions.create(boss.id)
    identity.accounts.set_active(boss, ada.id, False)
    assert [identity.sessions.resolve(token) for token in tokens] == [None, None]
    with pytest.raises(NotSignedIn):
        identity.keys.resolve(secret)
    assert identity.accounts.person(ada.id) is None
    assert identity.sessions.resolve(others) is not None
    kinds = [json.loads(line)["event"]["type"] for line in ledger.export()]
    assert kinds[-4:] == ["session_revoked", "session_revoked", "key_revoked", "person_changed"]
    assert ledger.verify().broken is None


def test_reactivating_brings_no_session_or_key_back(
    identity: Identity, ada: Person, boss: Person
) -> None:
    token = identity.sessions.create(ada.id)
    secret, _row = identity.keys.create(ada.id, "laptop", 30, ada.id)
    identity.accounts.set_active(boss, ada.id, False)
    identity.accounts.set_active(boss, ada.id, True)
    identity.accounts.set_active(boss, ada.id, True)
    assert identity.sessions.resolve(token) is None
    with pytest.raises(NotSignedIn):
        identity.keys.resolve(secret)
    assert identity.sessions.resolve(identity.sessions.create(ada.id)) is not None


@pytest.mark.parametrize("role", [Role.EMPLOYEE, Role.TEAM_LEAD])
def test_only_admins_change_people(
    identity: Identity, ada: Person, make_person: Any, role: Role
) -> None:
    other = make_person("Other", role=role)
    with pytest.raises(Denied):
        identity.accounts.set_role(other, ada.id, Role.ADMIN)
    with pytest.raises(Denied):
        identity.accounts.set_active(other, ada.id, False)
    found = identity.accounts.get(ada.id)
    assert found is not None
    assert (found.role, found.active) == ("employee", True)


def test_an_admin_always_remains(identity: Identity, boss: Person, make_person: Any) -> None:
    with pytest.raises(InputError, match="last active admin"):
        identity.accounts.set_role(boss, boss.id, Role.EMPLOYEE)
    with pytest.raises(InputError, match="your own account"):
        identity.accounts.set_active(boss, boss.id, False)
    second = make_person("Second", role=Role.ADMIN)
    identity.accounts.set_active(boss, second.id, False)
    with pytest.raises(InputError, match="last active admin"):
        identity.accounts.set_role(boss, boss.id, Role.TEAM_LEAD)


def test_unknown_people_are_not_found(identity: Identity, boss: Person) -> None:
    with pytest.raises(NotFound):
        identity.accounts.set_role(boss, "person_none", Role.ADMIN)
    with pytest.raises(NotFound):
        identity.accounts.set_active(boss, "person_none", False)
