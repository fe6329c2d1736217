"""What a turn is made of: the other rooms' services, as the stages use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from app.access.policy import Policy
from app.access.sensitive import Screen
from app.actions import ActionDesk
from app.budgets import Budgets
from app.domain import Question
from app.draft import Draft
from app.knowledge.embed import Embedder
from app.knowledge.search import Search
from app.prompts import PromptLibrary
from app.routing import Catalogue, InForce
from app.routing.difficulty.learned import LearnedScores
from app.routing.relay import Patience
from app.routing.swaps import RouteVersions

Result = TypeVar("Result")


class Pool(Protocol):
    """Runs blocking work away from the event loop."""

    def __call__(self, work: Callable[[], Result]) -> Awaitable[Result]: ...


@dataclass(frozen=True)
class Stages:
    """What a turn needs of the other rooms."""

    embedder: Embedder
    intents: Callable[[], InForce]
    versions: RouteVersions
    difficulty: LearnedScores
    search: Search
    catalogue: Catalogue
    policy: Policy
    screen: Screen
    prompts: PromptLibrary
    actions: ActionDesk
    budgets: Budgets
    in_pool: Pool
    before_model: Callable[[Question, Draft], None]
    patience: Patience
