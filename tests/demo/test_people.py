from __future__ import annotations

from collections import Counter

from app.demo.people import load_groups, load_people
from app.demo.seed import who_can_sign_in
from app.domain import Role
from tests.demo.papers import principals_of


def test_there_are_fifteen_people_in_four_teams_with_one_address_each() -> None:
    people = load_people()
    assert len({person.email for person in people}) == len(people) == 15
    assert Counter(person.team for person in people) == {
        "Sales": 5,
        "Engineering": 6,
        "People": 2,
        "Operations": 2,
    }
    assert all(person.email.endswith("@fernhill.example") for person in people)


def test_two_lead_a_team_and_one_is_admin() -> None:
    roles = {person.name: person.role for person in load_people()}
    assert {name for name, role in roles.items() if role is Role.TEAM_LEAD} == {
        "Tom Okafor",
        "Mira Castellanos",
    }
    assert [name for name, role in roles.items() if role is Role.ADMIN] == ["Noor Haddad"]


def test_groups_name_only_people_and_groups_that_exist() -> None:
    groups = load_groups()
    known = {f"user:{person.email}" for person in load_people()}
    known |= {f"group:idp/{name}" for name in groups}
    assert all(members and members <= known for members in groups.values())


def test_groups_nest_so_that_everybody_is_staff_through_their_team() -> None:
    groups = load_groups()
    assert not any(member.startswith("user:") for member in groups["all-staff"])
    assert {"group:idp/platform", "group:idp/firmware"} <= groups["engineering"]
    for person in load_people():
        assert "group:idp/all-staff" in principals_of(person.email)


def test_a_persons_groups_are_those_that_list_them_directly() -> None:
    ada = next(person for person in load_people() if person.name == "Ada Lindqvist")
    assert ada.groups == ("sales",)


def test_only_the_people_team_is_in_the_restricted_group() -> None:
    inside = {p.team for p in load_people() if "group:idp/hr-restricted" in principals_of(p.email)}
    assert inside == {"People"}


def test_the_sign_in_list_shows_each_person_with_team_role_and_address() -> None:
    lines = who_can_sign_in().splitlines()
    people = load_people()
    assert len(lines) == len(people) + 2
    for person, line in zip(people, lines[2:], strict=True):
        assert [person.name, person.team, person.role.label, person.email] == [
            cell.strip() for cell in line.split("  ") if cell.strip()
        ]
