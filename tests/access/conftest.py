"""The shipped policies, and people who need no database."""

from __future__ import annotations

import pytest

from app.access import Policy
from app.domain import EVERYONE, Person, Role


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy()


@pytest.fixture
def employee() -> Person:
    return someone("mara", Role.EMPLOYEE, "Sales")


@pytest.fixture
def lead() -> Person:
    return someone("tom", Role.TEAM_LEAD, "Sales")


@pytest.fixture
def admin() -> Person:
    return someone("ada", Role.ADMIN, "IT")


def someone(name: str, role: Role, team: str, *groups: str) -> Person:
    email = f"{name}@example.test"
    principals = {EVERYONE, f"user:{email}", *(f"group:{group}" for group in groups)}
    return Person(f"person_{name}", email, name.title(), role, team, frozenset(principals))
