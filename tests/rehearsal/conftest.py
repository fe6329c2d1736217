"""A desk without a browser whose models answer over real HTTP: some well, one in other words, some with faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete

from app.db.tables import ConversationRow, GoldenQuestionRow, RehearsalRow, RouteVersionRow
from app.domain import DataClass, Person, Role
from app.llm.openai import OpenAIModel
from app.llm.scripted_server import ScriptedServer
from app.rehearsal import Golden, Rehearsals
from app.routing.swaps import Draft
from tests.chat.house import House, card, house
from tests.servers.model_server import ModelServer, model_server

TRAVEL = "travel_expenses"
LYON = "What is the hotel limit in Lyon?"
SAYS = {
    "good": "The hotel limit in Lyon is **180 euros** a night [1].",
    "bad": "In Lyon you may sleep wherever the moon shines brightly, up to 500 euros.",
    "first_wins": "FIRST: it comes first.",
    "same": "SAME: no difference.",
    "rambling": "I would rather not say.",
}
FAULTY = ("server_error", "cut_off", "silent", "limited")
Result = TypeVar("Result")


@dataclass
class Stage:
    """`noor` is an admin. `server` answers well or oddly, `faulty` does what a model's name says."""

    house: House
    server: ScriptedServer
    faulty: ModelServer
    noor: Person
    models: list[OpenAIModel] = field(default_factory=list)

    @property
    def rehearsals(self) -> Rehearsals:
        return self.house.services.rehearsals

    def on_loop(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.house.loop).result(30)

    def add(self, name: str, url: str, clearance: DataClass = DataClass.INTERNAL) -> None:
        model = OpenAIModel(name, name, model_name=name, api_key="k", base_url=url)
        self.models.append(model)
        self.house.services.catalogue.add(card(name, clearance), model, name)

    def golden(self, *several: Golden) -> None:
        for golden in several or (Golden(LYON, ("Travel policy",), ("180 euros",)),):
            self.rehearsals.golden.add(self.noor, TRAVEL, golden)

    def draft(self, *models: str) -> RouteVersionRow:
        return self.house.services.versions.draft(self.noor, TRAVEL, Draft(models, "grounded"))

    def publish(self, *models: str) -> None:
        self.house.services.versions.publish(self.noor, self.draft(*models).id)

    def rehearse(self, *models: str, judge: str = "", person: Person | None = None) -> RehearsalRow:
        """Of a draft with these models, to its end."""
        started = self.rehearsals.start(person or self.noor, self.draft(*models).id, judge)
        return self.over(started)

    def over(self, rehearsal_id: str) -> RehearsalRow:
        until = time.monotonic() + 90
        while (row := self.rehearsals.runs.get(rehearsal_id)).status == "running":
            assert time.monotonic() < until
            time.sleep(0.01)
        return row


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with house(tmp_path_factory.mktemp("rehearsal")) as built:
        server = ScriptedServer(says=SAYS)
        faulty = model_server()
        stage = Stage(built, server, ModelServer(), built.person("noor", role=Role.ADMIN))
        url = stage.on_loop(server.start())
        stage.faulty = stage.on_loop(faulty.__aenter__())
        for name in SAYS:
            stage.add(name, url)
        for name in FAULTY:
            stage.add(name, stage.faulty.openai_url)
        stage.publish("good")
        yield stage
        for model in stage.models:
            stage.on_loop(model.close())
        stage.on_loop(faulty.__aexit__(None, None, None))
        stage.on_loop(server.close())


@pytest.fixture
def stage(built: Stage) -> Iterator[Stage]:
    """Each test begins with the published route `good`, no draft, no golden question and no rehearsal."""
    yield built
    built.on_loop(built.rehearsals.drain(10))
    services = built.house.services
    with services.database.write() as session:
        for table in (RehearsalRow, GoldenQuestionRow, ConversationRow):
            session.execute(delete(table))
    draft = services.versions.open_version(TRAVEL)
    if draft is not None:
        services.versions.discard(built.noor, draft.id)
    built.faulty.requests.clear()
    built.server.timings.clear()
