"""The product's embedder once for all, a small table, and policies that say what they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from app.db import Database
from app.domain import DataClass, Decision, Intent, Person
from app.knowledge.embed import Embedder, load_embedder
from app.llm.scripted import ScriptedModel
from app.records import Ledger
from app.routing import Catalogue, ModelCard, RouteEntry, RoutingTable
from app.settings import Settings


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder(workers=1)


class Rules:
    """A ModelPolicy that forbids the models it is given."""

    def __init__(self, forbidden: Iterable[str] = ()) -> None:
        self.forbidden = set(forbidden)
        self.asked: list[str] = []

    def use_model(
        self,
        person: Person,
        model_id: str,
        provider: str,
        local: bool,
        audience: Sequence[str] = (),
    ) -> Decision:
        assert person
        assert provider
        assert isinstance(local, bool)
        assert not isinstance(audience, str)
        self.asked.append(model_id)
        allowed = model_id not in self.forbidden
        return Decision(allowed, "everyone may" if allowed else "only Engineering may use it", "p1")


def card(id: str, clearance: DataClass = DataClass.INTERNAL, **changes: object) -> ModelCard:
    values: dict[str, object] = {
        "id": id,
        "label": id.title(),
        "provider": "scripted",
        "model_name": id,
        "context_tokens": 8000,
        "price_in": 1.0,
        "price_out": 4.0,
        "clearance": clearance,
        "local": False,
    }
    return ModelCard(**(values | changes))  # type: ignore[arg-type]


def intent(name: str = "travel") -> Intent:
    return Intent(name, name.title(), 0.7, "other", 0.2)


def table(models: tuple[str, ...], *, search: bool = True) -> RoutingTable:
    examples = ("a", "b", "c")
    entries = tuple(
        RouteEntry(
            name=name,
            label=name.title(),
            prompt="grounded",
            models=models,
            search=search,
            examples=examples,
            actions=("open_ticket",),
        )
        for name in ("other", "travel")
    )
    return RoutingTable(entries, 0.3)


MakeCatalogue = Callable[..., Catalogue]


@pytest.fixture
def catalogue(settings: Settings, database: Database, ledger: Ledger) -> MakeCatalogue:
    """A catalogue with scripted models under the aliases of their own ids, beside the local ones."""

    def make(*cards: ModelCard) -> Catalogue:
        made = Catalogue(settings, database, ledger)
        for each in cards:
            made.add(each, ScriptedModel(each.id), each.id)
        return made

    return make
