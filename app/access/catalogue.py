"""Everything that can be opened, called, pressed or administered, and the Cedar action that guards it.

What is not listed here is denied before a rule is asked. A test compares the lists with the real pages, routes and actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.domain import Role

Risk = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class GuardedPage:
    """`name` is the page's file under app/ui/screens; `title` is how a reason names it."""

    name: str
    title: str
    guard: Literal["open_page"] = "open_page"


@dataclass(frozen=True, slots=True)
class GuardedRoute:
    """`path` as it is mounted. A public one needs neither a session nor a key."""

    path: str
    public: bool = False
    guard: Literal["call_api"] = "call_api"


@dataclass(frozen=True, slots=True)
class GuardedAction:
    """A button of app.actions. Its risk decides whether it runs at once or waits, and then for whom: a lead's is an admin's too."""

    name: str
    label: str
    risk: Risk
    decided_by: Role = Role.TEAM_LEAD
    guard: Literal["run_action"] = "run_action"


@dataclass(frozen=True, slots=True)
class GuardedArea:
    """What an admin looks after."""

    name: str
    guard: Literal["administer"] = "administer"


PAGES: tuple[GuardedPage, ...] = (
    GuardedPage("chat", "Chat"),
    GuardedPage("document", "Document"),
    GuardedPage("requests", "My requests"),
    GuardedPage("my_usage", "My usage"),
    GuardedPage("keys", "Keys"),
    GuardedPage("waiting", "Waiting for approval"),
    GuardedPage("usage", "Usage"),
    GuardedPage("admin_connectors", "Connectors"),
    GuardedPage("admin_models", "Models"),
    GuardedPage("admin_routes", "Routes"),
    GuardedPage("admin_intents", "Intents"),
    GuardedPage("admin_budgets", "Budgets"),
    GuardedPage("admin_people", "People"),
    GuardedPage("admin_audit", "Audit"),
)

ROUTES: tuple[GuardedRoute, ...] = (
    GuardedRoute("/healthz", public=True),
    GuardedRoute("/readyz", public=True),
    GuardedRoute("/auth/login", public=True),
    GuardedRoute("/auth/callback", public=True),
    GuardedRoute("/auth/logout", public=True),
    GuardedRoute("/assets", public=True),
    # The demo issuer: mounted only where no provider is configured, and answers only this machine.
    GuardedRoute("/demo/issuer/.well-known/openid-configuration", public=True),
    GuardedRoute("/demo/issuer/jwks", public=True),
    GuardedRoute("/demo/issuer/authorize", public=True),
    GuardedRoute("/demo/issuer/token", public=True),
    GuardedRoute("/demo/issuer/end-session", public=True),
    GuardedRoute("/demo/inbox", public=True),
    # Each connector verifies its source's signature; without one it is silent.
    GuardedRoute("/hooks/connectors/{id}", public=True),
    GuardedRoute("/metrics"),
    GuardedRoute("/v1/chat/completions"),
    GuardedRoute("/v1/models"),
    GuardedRoute("/v1/search"),
    GuardedRoute("/v1/receipts/{id}"),
    GuardedRoute("/v1/budgets"),
    GuardedRoute("/v1/{path:path}"),
)

ACTIONS: tuple[GuardedAction, ...] = (
    GuardedAction("open_ticket", "Open a ticket", "low"),
    GuardedAction("send_webhook", "Send a message", "medium"),
    GuardedAction("request_budget", "Request more of your budget", "medium"),
    GuardedAction("request_shared_budget", "Request more of this budget", "medium", Role.ADMIN),
)

AREAS: tuple[GuardedArea, ...] = (
    GuardedArea("connectors"),
    GuardedArea("models"),
    GuardedArea("budgets"),
    GuardedArea("people"),
    GuardedArea("audit"),
)
