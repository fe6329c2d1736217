"""Cedar: load and validate the policy files once, then answer one request at a time. Only this module imports cedarpy.

A decision is a function of the request alone (the policies never change while they are loaded), so the last few thousand are
kept: 0.2 ms becomes 0.03 ms in a running desk, several times a question. The key is everything that Cedar is given, so a person whose role,
team or groups changed asks another question and is never served an old answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cedarpy

from app.errors import ConfigurationError

FOLDER = Path(__file__).parent
KEPT = 4096
"""Verdicts, about 4 MB. When that many are kept all are forgotten: simpler than an order, and as good."""
ENTITY = re.compile(r'\b([A-Z]\w*)::"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Entity:
    """A Cedar entity: attributes are strings, booleans, other entities or sets of them."""

    type: str
    id: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    parents: tuple[Entity, ...] = ()

    @property
    def uid(self) -> dict[str, str]:
        return {"type": self.type, "id": self.id}

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for two entities exactly when `as_json` is."""
        attributes = tuple((name, _key(value)) for name, value in sorted(self.attributes.items()))
        parents = tuple((parent.type, parent.id) for parent in self.parents)
        return self.type, self.id, attributes, parents

    def as_json(self) -> dict[str, Any]:
        return {
            "uid": self.uid,
            "attrs": {name: _json(value) for name, value in self.attributes.items()},
            "parents": [parent.uid for parent in self.parents],
        }


Attribute = Entity | tuple[Entity, ...] | str | bool


def _key(value: Attribute) -> Hashable:
    if isinstance(value, Entity):
        return value.type, value.id
    return tuple(_key(one) for one in value) if isinstance(value, tuple) else value


def _json(value: Attribute) -> Any:
    if isinstance(value, Entity):
        return {"__entity": value.uid}
    return [_json(one) for one in value] if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rule` and `reason` are the deciding policy's @id and @reason; empty when no rule matched or the request was faulty."""

    allowed: bool
    rule: str = ""
    reason: str = ""


class PolicyEngine:
    """The parsed policies and schema of one folder.

    Raises ConfigurationError when a file is missing, does not parse, does not fit the schema, or a rule lacks a unique @id
    or a @reason.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.text = _read(folder / "policies.cedar")
        schema_text = _read(folder / "schema.cedarschema")
        try:
            self._schema = cedarpy.Schema.from_str(schema_text)
            self._policies = cedarpy.PolicySet.from_str(self.text)
        except ValueError as error:
            raise _unusable(str(error)) from error
        validation = cedarpy.validate_policies(self.text, self._schema)
        if not validation.validation_passed:
            raise _unusable("; ".join(str(error) for error in validation.errors))
        self._rules = _annotated(self.text)
        self._decided: dict[Hashable, Verdict] = {}

    def named(self, entity_type: str) -> frozenset[str]:
        """The ids of one entity type that the policies name, for checks against the catalogue."""
        code = re.sub(r"//.*", "", self.text)
        return frozenset(found for kind, found in ENTITY.findall(code) if kind == entity_type)

    @property
    def rules(self) -> Mapping[str, str]:
        """@id to @reason, in the order of the file."""
        return dict(self._rules.values())

    def decide(
        self,
        principal: Entity,
        action: str,
        resource: Entity,
        context: Mapping[str, bool] | None = None,
    ) -> Verdict:
        """Deny unless a rule permits. An evaluation error denies too: Cedar would skip the faulty rule, even a forbid."""
        given = tuple(sorted((context or {}).items()))
        key = principal.key, action, resource.key, given
        verdict = self._decided.get(key)
        if verdict is None:
            verdict = self._ask(principal, action, resource, dict(given))
            if len(self._decided) >= KEPT:
                self._decided.clear()
            self._decided[key] = verdict
        return verdict

    def _ask(
        self, principal: Entity, action: str, resource: Entity, context: dict[str, bool]
    ) -> Verdict:
        result = cedarpy.is_authorized(
            {
                "principal": principal.uid,
                "action": {"type": "Action", "id": action},
                "resource": resource.uid,
                "context": context,
            },
            self._policies,
            json.dumps([principal.as_json(), resource.as_json()]),
            self._schema,
        )
        if result.diagnostics.errors:
            return Verdict(False)
        rule, reason = self._first(result.diagnostics.reasons)
        return Verdict(result.allowed, rule, reason)

    def _first(self, policies: Iterable[str]) -> tuple[str, str]:
        """The deciding rule that stands first in the file, so that the same request always has the same reason."""
        matched = set(policies)
        for key, rule in self._rules.items():
            if key in matched:
                return rule
        return "", ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unusable(f"{path.name} cannot be read") from error


def _annotated(text: str) -> dict[str, tuple[str, str]]:
    """Cedar's own name of each policy (policy0, policy1…) to its @id and @reason, in the order of the file."""
    policies = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    rules: dict[str, tuple[str, str]] = {}
    for key in sorted(policies, key=lambda name: int(name.removeprefix("policy"))):
        annotations = policies[key].get("annotations", {})
        rule, reason = annotations.get("id") or "", annotations.get("reason") or ""
        if not rule or not reason:
            raise _unusable(f"rule number {len(rules) + 1} ('{rule}') lacks an @id or a @reason")
        if rule in {known for known, _ in rules.values()}:
            raise _unusable(f"two rules have the @id '{rule}'")
        rules[key] = (rule, reason)
    return rules


def _unusable(cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"The access policies cannot be used: {cause}.",
        fix="Correct policies.cedar or schema.cedarschema in app/access and start again.",
    )
