"""Each question of access is answered as the three roles expect, with the rule and a sentence that say why."""

from __future__ import annotations

import pytest
from sqlmodel import select

from app.access import Policy, require
from app.access.catalogue import AREAS
from app.db import Database
from app.db.tables import EventRow
from app.domain import Decision, Person, Role
from app.errors import Denied
from app.records import Ledger
from tests.access.conftest import someone

APPROVAL = {"approval": "team_lead"}


def test_everyone_may_use_local_and_hosted_models(policy: Policy, employee: Person) -> None:
    local = policy.use_model(employee, "extractive", "extractive", True)
    hosted = policy.use_model(employee, "gpt-5-mini", "openai", False)
    assert (local.allowed, local.policy) == (True, "models-local")
    assert (hosted.allowed, hosted.policy) == (True, "models-hosted")
    assert hosted.reason == "Everyone may use the hosted models that an admin has enabled."


def test_a_low_risk_action_runs_at_once(policy: Policy, employee: Person) -> None:
    decision = policy.run_action(employee, "open_ticket")
    assert decision == Decision(True, "Low risk actions run at once.", "at-once-low-risk")


def test_a_medium_risk_action_waits_unless_a_lead_or_admin_asks(
    policy: Policy, employee: Person, lead: Person, admin: Person
) -> None:
    waits = policy.run_action(employee, "send_webhook")
    assert waits.allowed
    assert waits.obligations == APPROVAL
    assert waits.reason == (
        "Everyone may use low and medium risk actions. "
        "No rule allows an employee to run 'Send a message' at once. It waits for approval."
    )
    for person in (lead, admin):
        assert policy.run_action(person, "send_webhook").obligations == {}


def test_more_money_waits_for_everyone_and_a_shared_budgets_for_an_admin(
    policy: Policy, employee: Person, lead: Person, admin: Person
) -> None:
    for person in (employee, lead, admin):
        assert policy.run_action(person, "request_budget").obligations == APPROVAL
        shared = policy.run_action(person, "request_shared_budget")
        assert shared.obligations == {"approval": "admin"}
    assert "somebody else's approval" in policy.run_action(admin, "request_budget").reason
    assert policy.approve(lead, "request_budget", "person_mara", "Sales")
    refused = policy.approve(lead, "request_shared_budget", "person_mara", "Sales")
    assert (refused.allowed, refused.policy) == (False, "approve-shared-budget")
    assert policy.approve(admin, "request_shared_budget", "person_mara", "Sales")


def test_an_unknown_action_is_denied(policy: Policy, admin: Person) -> None:
    decision = policy.run_action(admin, "delete_everything")
    assert not decision
    assert decision.reason == "There is no action 'delete_everything', so no rule allows it."
    assert not policy.approve(admin, "delete_everything", "person_x", "Sales")


def test_leads_decide_for_their_team_and_admins_for_all(
    policy: Policy, employee: Person, lead: Person, admin: Person
) -> None:
    def may(person: Person, team: str = "Sales", requester: str = "person_mara") -> Decision:
        return policy.approve(person, "send_webhook", requester, team)

    assert may(lead).policy == "approve-own-team"
    assert may(admin).policy == "approve-admin"
    assert not may(lead, team="IT")
    assert not may(employee, requester="person_other")
    assert not may(lead, team="")


def test_nobody_approves_their_own_request(policy: Policy, lead: Person, admin: Person) -> None:
    for person in (lead, admin):
        decision = policy.approve(person, "send_webhook", person.id, person.team)
        assert not decision
        assert decision.policy == "approve-never-own"
        assert decision.reason == "Nobody approves their own request."


def test_a_lead_without_a_team_leads_nobody(policy: Policy) -> None:
    stray = someone("stray", Role.TEAM_LEAD, "")
    assert not policy.approve(stray, "send_webhook", "person_mara", "")
    assert not policy.see_usage(stray, "")


def test_usage_is_for_the_own_lead_and_admins(
    policy: Policy, employee: Person, lead: Person, admin: Person
) -> None:
    assert policy.see_usage(lead, "Sales")
    assert not policy.see_usage(lead, "IT")
    assert not policy.see_usage(lead, None)
    assert policy.see_usage(admin, "Sales")
    assert policy.see_usage(admin, None)
    denied = policy.see_usage(employee, "Sales")
    assert denied == Decision(
        False, "No rule allows an employee to see the usage of the team 'Sales'."
    )


def test_only_admins_administer(
    policy: Policy, employee: Person, lead: Person, admin: Person
) -> None:
    for area in AREAS:
        assert policy.administer(admin, area.name)
        assert not policy.administer(lead, area.name)
        assert not policy.administer(employee, area.name)
    assert not policy.administer(admin, "the moon")


@pytest.mark.parametrize(
    ("page", "roles"),
    [
        ("chat", set(Role)),
        ("document", set(Role)),
        ("requests", set(Role)),
        ("my_usage", set(Role)),
        ("keys", set(Role)),
        ("waiting", {Role.TEAM_LEAD, Role.ADMIN}),
        ("usage", {Role.TEAM_LEAD, Role.ADMIN}),
        ("admin_connectors", {Role.ADMIN}),
        ("admin_models", {Role.ADMIN}),
        ("admin_people", {Role.ADMIN}),
        ("admin_audit", {Role.ADMIN}),
        ("nowhere", set()),
    ],
)
def test_pages_open_for_the_roles_they_are_for(policy: Policy, page: str, roles: set[Role]) -> None:
    opened = {role for role in Role if policy.open_page(someone("kim", role, "Sales"), page)}
    assert opened == roles


def test_routes_need_a_person_unless_they_are_public(policy: Policy, employee: Person) -> None:
    assert policy.call_api(None, "/healthz")
    assert policy.call_api(employee, "/v1/chat/completions")
    denied = policy.call_api(None, "/v1/chat/completions")
    assert denied.reason == (
        "No rule allows anybody without a session or key to call /v1/chat/completions."
    )
    assert not policy.call_api(employee, "/v1/unknown")


def test_metrics_are_for_this_machine_and_admins(
    policy: Policy, employee: Person, admin: Person
) -> None:
    assert policy.call_api(None, "/metrics", loopback=True)
    assert policy.call_api(admin, "/metrics")
    assert not policy.call_api(None, "/metrics")
    assert not policy.call_api(employee, "/metrics")


def test_require_records_the_denial_and_says_why(
    policy: Policy, lead: Person, ledger: Ledger, database: Database
) -> None:
    decision = policy.approve(lead, "send_webhook", lead.id, lead.team)
    with pytest.raises(Denied) as caught:
        require(decision, lead, "decide on this request", ledger)
    assert caught.value.message == (
        "You may not decide on this request. Nobody approves their own request."
    )
    with database.read() as session:
        (row,) = session.exec(select(EventRow)).all()
    assert (row.type, row.actor) == ("access_denied", lead.id)
    assert "approve-never-own" in row.body
    require(policy.open_page(lead, "chat"), lead, "open the page 'Chat'", ledger)
