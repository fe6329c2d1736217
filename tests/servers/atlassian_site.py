"""What the test servers of Confluence Cloud and Jira Cloud share: people, groups, basic auth, webhook signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Access
from tests.servers.json_server import Reply, Request

EMAIL, TOKEN = "robot@acme.test", "api-token-of-the-test"
WEBHOOK_SECRET = "webhook-secret-of-the-test"


@dataclass
class Person:
    id: str
    email: str
    type: str = "atlassian"
    status: str = "active"
    guest: bool = False
    hidden: bool = False

    @property
    def counts(self) -> bool:
        return self.type == "atlassian" and self.status == "active"


@dataclass
class Site:
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    token: str = TOKEN

    def person(self, id: str, *groups: str, **more: Any) -> Person:
        self.people[id] = Person(id, f"{id.capitalize()}@acme.test", **more)
        for group in groups:
            self.groups.setdefault(group, []).append(id)
        return self.people[id]

    def groups_of(self, person: Person) -> set[str]:
        return {name for name, members in self.groups.items() if person.id in members}

    def refused(self, request: Request) -> Reply | None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = base64.b64encode(f"{EMAIL}:{self.token}".encode()).decode()
        if kind == "Basic" and given == wanted:
            return None
        return Reply({"message": "Client must be authenticated to access this resource."}, 401)


def signed(body: Any, secret: str = WEBHOOK_SECRET) -> tuple[bytes, dict[str, str]]:
    data = json.dumps(body).encode()
    digest = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    return data, {"x-hub-signature": f"sha256={digest}"}


def admits(access: Access, groups: Mapping[str, frozenset[str]], email: str) -> bool:
    """Expands groups as the platform does."""
    held: set[str] = set()
    for _ in groups:
        held |= {n for n, m in groups.items() if email in m or m & {f"group:{h}" for h in held}}
    inside = access.everyone or email in access.users or bool(access.groups & held)
    return access.known and inside and all(admits(part, groups, email) for part in access.also)
