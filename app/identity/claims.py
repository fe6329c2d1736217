"""From the provider's claims to a person: e-mail, name, role, team and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain import Role
from app.errors import ConfigurationError
from app.identity.faults import fault

RANK = (Role.EMPLOYEE, Role.TEAM_LEAD, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where the provider keeps what. A dot walks into an object (`realm_access.roles`); an empty name is not read."""

    groups: str = "groups"
    role: str = ""
    team: str = "team"
    role_groups: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """Who somebody is, as a verified ID token says."""

    issuer: str
    subject: str
    email: str
    name: str
    role: Role
    team: str
    groups: tuple[str, ...]
    id_token: str = field(repr=False)


def role_groups(mapping: Mapping[str, str]) -> dict[str, Role]:
    """Checks SWITCHBOARD_OIDC_ROLE_GROUPS. Raises ConfigurationError for a role that is none."""
    try:
        return {group: Role(role) for group, role in mapping.items()}
    except ValueError as error:
        raise ConfigurationError(
            f"SWITCHBOARD_OIDC_ROLE_GROUPS names an unknown role: {error}.",
            fix="Use employee, team_lead or admin.",
        ) from None


def prove(claims: Mapping[str, Any], names: ClaimNames, id_token: str) -> Proof:
    """Raises SignInError `no_email`, `email_unverified` or `bad_token`."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise fault("bad_token", detail="no sub")
    email = claims.get("email")
    if not isinstance(email, str) or "@" not in email.strip():
        raise fault("no_email")
    if claims.get("email_verified") in (False, "false", "False"):
        raise fault("email_unverified")
    email = email.strip().lower()
    groups = texts(read(claims, names.groups))
    team = texts(read(claims, names.team))
    return Proof(
        issuer=str(claims["iss"]),
        subject=subject,
        email=email,
        name=_name(claims) or email.partition("@")[0],
        role=_role(claims, names, groups),
        team=team[0] if team else "",
        groups=groups,
        id_token=id_token,
    )


def read(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that very name, else the value at the dotted path, else None."""
    if not name:
        return None
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A claim that is one text or a list of them, without blanks and repetitions; anything else is nothing."""
    items = value if isinstance(value, list) else [value]
    cleaned = (item.strip() for item in items if isinstance(item, str))
    return tuple(dict.fromkeys(item for item in cleaned if item))


def _name(claims: Mapping[str, Any]) -> str:
    for name in ("name", "preferred_username"):
        found = texts(claims.get(name))
        if found:
            return found[0][:200]
    return ""


def _role(claims: Mapping[str, Any], names: ClaimNames, groups: tuple[str, ...]) -> Role:
    """The highest role that is named or mapped; whoever matches nothing is an employee."""
    named = {text.lower().replace(" ", "_") for text in texts(read(claims, names.role))}
    found = {role for role in RANK if role.value in named}
    found |= {names.role_groups[group] for group in groups if group in names.role_groups}
    return max(found, key=RANK.index, default=Role.EMPLOYEE)
