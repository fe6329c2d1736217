"""The desk that is soaked: three hosted models of rising clearance, two documents, budgets that never run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from app.budgets import EACH
from app.budgets.budget import SCOPES
from app.db.tables import BudgetReservationRow, BudgetRow, BudgetSumRow, TurnRow
from app.domain import DataClass, Person
from app.llm.anthropic import AnthropicModel
from app.llm.model import ChatModel
from app.llm.openai import OpenAIModel
from app.routing import Health
from app.wiring import Services
from tests.chat.house import House, card, house
from tests.servers.model_server import ModelServer, model_server

SPEED = 60.0
"""Seconds of a breaker's clock in one of ours."""
MODELS = {
    "modest": DataClass.INTERNAL,
    "trusted": DataClass.CONFIDENTIAL,
    "vault": DataClass.RESTRICTED,
}
PAPERS = {
    "180 euros a night": DataClass.INTERNAL,
    "61,000 euros": DataClass.RESTRICTED,
}


@dataclass
class SoakDesk:
    """`papers` are phrases of the documents with their class."""

    house: House
    server: ModelServer
    papers: dict[str, DataClass]

    @property
    def services(self) -> Services:
        return self.house.services

    def person(self, name: str, *groups: str) -> Person:
        return self.house.person(name, *groups)

    def clearance(self, model: str) -> DataClass:
        return MODELS[model]

    def spent_micro(self) -> int:
        """On the receipts, in millionths of a dollar."""
        with self.services.database.read() as session:
            receipts = session.execute(select(col(TurnRow.receipt))).scalars().all()
        return sum(round(receipt["cost_usd"] * 1_000_000) for receipt in receipts if receipt)

    def money(self) -> list[str]:
        """Where the budgets do not say what the receipts say, to a millionth of a dollar."""
        spent, wrong = self.spent_micro(), []
        with self.services.database.read() as session:
            sums = session.execute(select(BudgetSumRow)).scalars().all()
            scopes = {row.id: row.scope for row in session.execute(select(BudgetRow)).scalars()}
        told: dict[str, int] = dict.fromkeys(SCOPES, 0)
        for one in sums:
            told[scopes[one.budget_id]] += one.spent_micro
            if one.reserved_micro:
                wrong.append(f"{one.reserved_micro} still held of a {scopes[one.budget_id]} budget")
        return wrong + [
            f"{scope} budgets say {total}, the receipts {spent} millionths"
            for scope, total in told.items()
            if total != spent
        ]

    def unsettled(self) -> list[str]:
        """What is still under way although every turn is over."""
        with self.services.database.read() as session:
            running = select(col(TurnRow.id)).where(col(TurnRow.status) == "running")
            held = select(col(BudgetReservationRow.id)).where(
                col(BudgetReservationRow.status) == "held"
            )
            left = [*session.execute(running).scalars(), *session.execute(held).scalars()]
        return [f"{one} is not over" for one in left]


@contextmanager
def soak_desk(folder: Path, behaves: Callable[[dict[str, Any]], str]) -> Iterator[SoakDesk]:
    with house(folder, first_token_timeout_s=0.4, silence_timeout_s=0.4) as built:
        catalogue = built.services.catalogue
        catalogue.health = Health(lambda: time.monotonic() * SPEED)
        root = built.person("root")
        for name in ("first", "second", "reader"):
            catalogue.change(root, name, enabled=False)
        for scope in SCOPES:
            each = "" if scope == "company" else EACH
            built.services.budgets.book.allot(root, scope, each, "month", 1_000_000)
        serving = model_server()
        server = _on(built.loop, serving.__aenter__())
        server.behaves = behaves
        try:
            for name in reversed(MODELS):
                priced = replace(card(name, MODELS[name]), price_in=1.0, price_out=3.0)
                catalogue.add(priced, _model(name, server), "openai")
            yield SoakDesk(built, server, PAPERS)
        finally:
            _on(built.loop, catalogue.close())
            _on(built.loop, serving.__aexit__(None, None, None))


def _model(name: str, server: ModelServer) -> ChatModel:
    if name == "trusted":
        return AnthropicModel(name, name, model_name=name, api_key="k", base_url=server.url)
    return OpenAIModel(name, name, model_name=name, api_key="k", base_url=server.openai_url)


def _on(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(30)
