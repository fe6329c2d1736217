"""Who may use, do, approve, see and administer what: one method a kind of question, each answered with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.access.catalogue import ACTIONS, AREAS, PAGES, ROUTES
from app.access.engine import FOLDER, Attribute, Entity, PolicyEngine
from app.domain import Decision, Person, Role
from app.errors import ConfigurationError, Denied
from app.records.events import AccessDenied
from app.records.ledger import Ledger

COMPANY = Entity("Company", "company")
VISITOR = Entity("Visitor", "visitor")
APPROVAL = "approval"
"""The obligation of an action that waits; its value is who decides."""


class Policy:
    """Cedar's answers. Deny is the default: what the catalogue does not list or no rule permits is refused."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Raises ConfigurationError when the policy files cannot be used."""
        self.engine = PolicyEngine(folder)
        self._pages = {page.name: page for page in PAGES}
        self._routes = {route.path: route for route in ROUTES}
        self._actions = {action.name: action for action in ACTIONS}
        self._areas = {area.name: area for area in AREAS}
        self._groups = self.engine.named("Group")
        self._check_names()

    def use_model(
        self,
        person: Person,
        model_id: str,
        provider: str,
        local: bool,
        audience: Sequence[str] = (),
    ) -> Decision:
        """`audience` are the groups (`group:idp/finance`) and teams (`team:Sales`) that an admin keeps the model for."""
        kept = [name.partition(":") for name in audience]
        groups = tuple(Entity("Group", name) for kind, _, name in kept if kind == "group")
        teams = tuple(Entity("Team", name) for kind, _, name in kept if kind == "team")
        attributes: dict[str, Attribute] = {
            "provider": provider,
            "local": local,
            "kept": bool(kept),
            "groups": groups,
            "teams": teams,
        }
        model = Entity("Model", model_id, attributes)
        return self._decide(person, "use_model", model, f"use the model '{model_id}'", also=groups)

    def run_action(self, person: Person, action: str) -> Decision:
        """May they press this button? With the obligation `approval` when it waits first, and for whom."""
        known = self._actions.get(action)
        if known is None:
            return _unknown("action", action)
        button = _button(known.name, known.risk)
        allowed = self._decide(person, "run_action", button, f"use '{known.label}'")
        if not allowed:
            return allowed
        at_once = self._decide(person, "run_at_once", button, f"run '{known.label}' at once")
        if at_once:
            return at_once
        return Decision(
            True,
            f"{allowed.reason} {at_once.reason} It waits for approval.",
            allowed.policy,
            {APPROVAL: known.decided_by.value},
        )

    def approve(
        self, person: Person, action: str, requester_id: str, requester_team: str
    ) -> Decision:
        """May they decide on a request for `action` made by somebody of `requester_team`?"""
        known = self._actions.get(action)
        if known is None:
            return _unknown("action", action)
        attributes: dict[str, Attribute] = {
            "button": _button(known.name, known.risk),
            "requester": Entity("Person", requester_id),
        }
        if requester_team:
            attributes["team"] = Entity("Team", requester_team)
        request = Entity("Request", action, attributes)
        return self._decide(person, "approve", request, "decide on this request")

    def see_usage(self, person: Person, team: str | None) -> Decision:
        """The numbers of one team, or of the whole company when `team` is None."""
        resource = COMPANY if team is None else Entity("Team", team)
        whose = "the company" if team is None else f"the team '{team}'"
        return self._decide(person, "see_usage", resource, f"see the usage of {whose}")

    def administer(self, person: Person, area: str) -> Decision:
        if area not in self._areas:
            return _unknown("area", area)
        return self._decide(person, "administer", Entity("Area", area), f"look after {area}")

    def open_page(self, person: Person, page: str) -> Decision:
        known = self._pages.get(page)
        if known is None:
            return _unknown("page", page)
        return self._decide(
            person, "open_page", Entity("Page", page), f"open the page '{known.title}'"
        )

    def call_api(self, person: Person | None, route: str, *, loopback: bool = False) -> Decision:
        """`route` is the mounted path; `person` is None without a session or key; `loopback`: called from this machine."""
        known = self._routes.get(route)
        if known is None:
            return _unknown("route", route)
        resource = Entity("Route", route, {"public": known.public})
        return self._decide(person, "call_api", resource, f"call {route}", {"loopback": loopback})

    def _decide(
        self,
        person: Person | None,
        action: str,
        resource: Entity,
        what: str,
        context: Mapping[str, bool] | None = None,
        also: Sequence[Entity] = (),
    ) -> Decision:
        """`also` are groups that no rule names but the resource does."""
        principal = VISITOR if person is None else self._principal(person, also)
        verdict = self.engine.decide(principal, action, resource, context)
        if verdict.reason:
            return Decision(verdict.allowed, verdict.reason, verdict.rule)
        return Decision(verdict.allowed, f"No rule allows {_who(person)} to {what}.")

    def _principal(self, person: Person, also: Sequence[Entity]) -> Entity:
        """Of a person's groups only those that a rule or the resource names: hundreds of claims cost nothing."""
        attributes: dict[str, Attribute] = {
            "email": person.email,
            "role": Entity("Role", person.role.value),
        }
        if person.team:
            attributes["team"] = Entity("Team", person.team)
        named = {*self._groups, *(group.id for group in also)}
        groups = sorted(group for group in named if f"group:{group}" in person.principals)
        return Entity(
            "Person", person.id, attributes, tuple(Entity("Group", group) for group in groups)
        )

    def _check_names(self) -> None:
        """A rule about a page that does not exist is a typing error, and a silent one would be dangerous."""
        known = {
            "Page": set(self._pages),
            "Route": set(self._routes),
            "Button": set(self._actions),
            "Area": set(self._areas),
        }
        for kind, names in known.items():
            for name in sorted(self.engine.named(kind) - names):
                raise ConfigurationError(
                    f'policies.cedar names {kind}::"{name}", which the catalogue does not have.',
                    fix="Correct the name, or add it to app/access/catalogue.py.",
                )


def require(decision: Decision, person: Person | None, action: str, ledger: Ledger) -> None:
    """Returns when allowed. Otherwise records the denial and raises Denied.

    `action` is what was tried, in words that follow "may not": `open the page 'People'`. Needs no open transaction.
    """
    if decision.allowed:
        return
    ledger.record(
        AccessDenied(
            actor=person.id if person else "visitor",
            action=action,
            reason=decision.reason,
            policy=decision.policy,
        )
    )
    why = f" {decision.reason}" if decision.policy else ""
    raise Denied(f"You may not {action}.{why}", reason=decision.reason)


def _unknown(kind: str, name: str) -> Decision:
    return Decision(False, f"There is no {kind} '{name}', so no rule allows it.")


def _button(name: str, risk: str) -> Entity:
    return Entity("Button", name, {"risk": Entity("Risk", risk)})


def _who(person: Person | None) -> str:
    if person is None:
        return "anybody without a session or key"
    return f"{'a' if person.role is Role.TEAM_LEAD else 'an'} {person.role.label}"
