"""Who may read a document, from what its source says: principals, and one that stands for them where several sets narrow it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain import EVERYONE, DataClass
from app.identity.groups import Clauses
from connectors.contract import Access

COMPANY_NAMESPACE = "idp"


@dataclass(frozen=True, slots=True)
class Permission:
    """Readers as principals, and the data class. `audiences` are the principals that stand for several sets of readers at
    once, with those sets."""

    known: bool
    principals: frozenset[str]
    data_class: DataClass
    audiences: Mapping[str, Clauses] = field(default_factory=dict)

    @classmethod
    def of(cls, access: Access, data_class: str, connector_id: str) -> Permission:
        """Unknown readers are nobody. Raises ValueError for a data class that is none."""
        parts = (access, *access.also)
        if not all(part.known for part in parts):
            return cls(False, frozenset(), DataClass.parse(data_class))
        clauses = {_principals(part, connector_id) for part in parts}
        narrowing = sorted(sorted(clause) for clause in clauses if EVERYONE not in clause)
        if len(narrowing) < 2 or not all(narrowing):
            chosen = min(clauses, key=lambda c: (EVERYONE in c, len(c)))
            return cls(True, chosen, DataClass.parse(data_class))
        digest = hashlib.sha256(json.dumps(narrowing).encode()).hexdigest()[:24]
        name = f"all:{connector_id}/{digest}"
        return cls(True, frozenset({name}), DataClass.parse(data_class), {name: narrowing})

    @classmethod
    def nobody(cls) -> Permission:
        """Where what the source says makes no sense: the strictest there is."""
        return cls(False, frozenset(), DataClass.RESTRICTED)

    @property
    def hash(self) -> str:
        text = "\n".join([str(self.known), str(int(self.data_class)), *sorted(self.principals)])
        return hashlib.sha256(text.encode()).hexdigest()


def _principals(access: Access, connector_id: str) -> frozenset[str]:
    namespace = COMPANY_NAMESPACE if access.company_groups else connector_id
    principals = {f"user:{user.strip().lower()}" for user in access.users if user.strip()}
    principals |= {f"group:{namespace}/{group}" for group in access.groups if group.strip()}
    return frozenset(principals | ({EVERYONE} if access.everyone else set()))
