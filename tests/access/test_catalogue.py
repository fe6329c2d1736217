"""Every page, route and action that exists is listed with its guard, and nothing that is not listed is allowed."""

from __future__ import annotations

from pathlib import Path

from app.access import Policy
from app.access.catalogue import ACTIONS, AREAS, PAGES, ROUTES
from app.actions import definitions
from app.domain import Person
from app.settings import Settings


def test_every_entry_has_a_guard_that_the_schema_knows(policy: Policy) -> None:
    schema = (policy.engine.folder / "schema.cedarschema").read_text()
    guards: set[str] = {page.guard for page in PAGES} | {route.guard for route in ROUTES}
    guards |= {action.guard for action in ACTIONS} | {area.guard for area in AREAS}
    for guard in guards:
        assert f"action {guard} appliesTo" in schema


def test_every_entry_is_open_to_somebody(policy: Policy, admin: Person) -> None:
    """A listed thing that not even an admin may use is a forgotten rule."""
    assert all(policy.open_page(admin, page.name) for page in PAGES)
    assert all(policy.call_api(admin, route.path) for route in ROUTES)
    assert all(policy.run_action(admin, action.name) for action in ACTIONS)
    assert all(policy.administer(admin, area.name) for area in AREAS)


def test_what_is_not_listed_is_denied(policy: Policy, admin: Person) -> None:
    for decision in (
        policy.open_page(admin, "admin_secrets"),
        policy.call_api(admin, "/v1/secrets"),
        policy.run_action(admin, "leak"),
        policy.administer(admin, "secrets"),
    ):
        assert not decision
        assert "no rule allows it" in decision.reason


def test_only_sign_in_health_and_the_demo_are_public() -> None:
    public = {route.path for route in ROUTES if route.public}
    assert {path for path in public if not path.startswith("/demo/")} == {
        "/healthz",
        "/readyz",
        "/auth/login",
        "/auth/callback",
        "/auth/logout",
        "/assets",
        "/hooks/connectors/{id}",
    }


def test_every_page_is_listed() -> None:
    from app.ui import navigation

    files = {path.stem for path in Path(navigation.__file__).parent.glob("screens/*.py")}
    listed = {page.name for page in PAGES}
    assert {page.name for page in navigation.PAGES} == listed
    assert files - {"__init__"} <= listed


def test_every_mounted_route_is_listed(settings: Settings) -> None:
    from app import server, wiring

    services = wiring.build(settings)
    try:
        mounted = {getattr(route, "path", str(route)) for route in server.routes(services)}
    finally:
        services.close()
    assert mounted == {route.path for route in ROUTES}


def test_every_action_is_listed_with_its_risk() -> None:
    assert {(one.name, one.label, one.risk) for one in definitions.ACTIONS} == {
        (one.name, one.label, one.risk) for one in ACTIONS
    }
