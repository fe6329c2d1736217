"""A faulty policy file never loads, and a faulty request is never allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.access import Policy
from app.access.engine import FOLDER, Entity, PolicyEngine
from app.domain import Role
from app.errors import ConfigurationError
from tests.access.conftest import someone

RULE = '@id("{id}") @reason("Because.") {rule};\n'


def folder(tmp_path: Path, extra: str, *, keep: bool = True) -> Path:
    shipped = (FOLDER / "policies.cedar").read_text() if keep else ""
    (tmp_path / "policies.cedar").write_text(shipped + extra)
    (tmp_path / "schema.cedarschema").write_text((FOLDER / "schema.cedarschema").read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ("permit (principal", "unexpected"),
        ('@id("x") permit (principal, action, resource);', "lacks an @id or a @reason"),
        (
            RULE.format(id="models-local", rule="permit (principal, action, resource)"),
            "two rules have the @id 'models-local'",
        ),
        (
            RULE.format(
                id="x", rule="permit (principal, action, resource) when { principal.rank == 3 }"
            ),
            "rank",
        ),
        (
            RULE.format(
                id="x",
                rule="permit (principal is Person, action, resource) "
                'when { principal.role == Role::"boss" }',
            ),
            "boss",
        ),
        (
            RULE.format(
                id="x",
                rule='permit (principal, action == Action::"open_page", resource == Page::"chats")',
            ),
            'Page::"chats"',
        ),
    ],
)
def test_a_faulty_file_stops_the_start(tmp_path: Path, rule: str, cause: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy(folder(tmp_path, rule))
    assert cause in caught.value.message


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"policies\.cedar cannot be read"):
        Policy(tmp_path)


def test_without_rules_everything_is_denied(tmp_path: Path) -> None:
    policy = Policy(folder(tmp_path, "", keep=False))
    admin = someone("ada", Role.ADMIN, "IT")
    assert not policy.open_page(admin, "chat")
    assert not policy.use_model(admin, "extractive", "extractive", True)
    assert not policy.call_api(None, "/healthz")


def test_a_faulty_request_is_denied() -> None:
    verdict = PolicyEngine().decide(Entity("Visitor", "x"), "open_page", Entity("Page", "chat"))
    assert not verdict.allowed


def test_a_forbid_for_a_group_beats_every_permit(tmp_path: Path) -> None:
    rule = RULE.format(
        id="openai-engineering",
        rule='forbid (principal, action == Action::"use_model", resource) '
        'when { resource.provider == "openai" } unless { principal in Group::"idp/engineering" }',
    )
    policy = Policy(folder(tmp_path, rule))
    inside = someone("ina", Role.EMPLOYEE, "IT", "idp/engineering", "idp/other")
    outside = someone("otto", Role.EMPLOYEE, "IT", "idp/other")
    assert policy.use_model(inside, "gpt-5-mini", "openai", False)
    assert policy.use_model(outside, "gpt-5-mini", "openai", False).policy == "openai-engineering"


def test_the_roles_of_the_schema_are_the_domains() -> None:
    schema = (FOLDER / "schema.cedarschema").read_text()
    listed = ", ".join(f'"{role.value}"' for role in Role)
    assert f"entity Role enum [{listed}];" in schema


def test_a_kept_verdict_never_answers_for_somebody_changed() -> None:
    policy = Policy()
    for _ in range(2):
        assert not policy.administer(someone("mara", Role.EMPLOYEE, "Sales"), "people")
        assert policy.administer(someone("mara", Role.ADMIN, "Sales"), "people")
        assert policy.see_usage(someone("tom", Role.TEAM_LEAD, "Sales"), "Sales")
        assert not policy.see_usage(someone("tom", Role.TEAM_LEAD, "Support"), "Sales")
        assert policy.call_api(None, "/metrics", loopback=True)
        assert not policy.call_api(None, "/metrics", loopback=False)


def test_whatever_cedar_is_given_tells_two_requests_apart() -> None:
    person = Entity("Person", "p", {"role": Entity("Role", "admin"), "local": True})
    others = [
        Entity("Visitor", "p", person.attributes),
        Entity("Person", "q", person.attributes),
        Entity("Person", "p", {"role": Entity("Role", "employee"), "local": True}),
        Entity("Person", "p", {"role": "admin", "local": True}),
        Entity("Person", "p", {"role": Entity("Role", "admin"), "local": False}),
        Entity("Person", "p", {"role": Entity("Role", "admin")}),
        Entity("Person", "p", person.attributes, (Entity("Group", "g"),)),
    ]
    assert len({person.key, *(other.key for other in others)}) == len(others) + 1
    same = Entity("Person", "p", {"local": True, "role": Entity("Role", "admin")})
    assert same.key == person.key
