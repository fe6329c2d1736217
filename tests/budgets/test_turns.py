"""Real turns over small budgets: who is asked, who is told to wait, and sums that agree with the receipts to the micro-dollar."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import secrets
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.budgets import EACH
from app.chat import TurnView
from app.db import Database
from app.db.tables import BudgetReservationRow, BudgetSumRow
from app.domain import DataClass, ModelCall, ModelChunk, ModelDone, Person, Role, TextDelta
from app.errors import ModelUnavailable, OverBudget
from app.llm.anthropic import AnthropicModel
from app.llm.model import Continues, estimated
from app.llm.openai import OpenAIModel
from app.routing.spending import Purse
from tests.chat.house import House, card, house
from tests.servers.model_server import ModelServer, model_server

LYON = "What is the hotel limit in Lyon?"
DOLLAR = 1_000_000
TOGETHER = 50


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as built:
        yield built


@pytest.fixture
def desk(_house: House) -> Iterator[House]:
    book = _house.services.budgets.book
    for model in (_house.first, _house.second):
        model.calls.clear()
        _house.services.catalogue.health.succeeded(model.id)
    yield _house
    for budget in book.budgets():
        book.remove(root(_house), budget.id)


@contextlib.contextmanager
def house_on(
    kind: str, request: pytest.FixtureRequest, folder: Path, **changes: Any
) -> Iterator[House]:
    """A house on SQLite or on PostgreSQL."""
    if kind == "postgresql":
        server: Database = request.getfixturevalue("server")
        name = f"turns_{secrets.token_hex(4)}"
        with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.execute(text(f"CREATE DATABASE {name} TEMPLATE pattern"))
        changes["database_url"] = server.url.replace("/postgres", f"/{name}")
    with house(folder, **changes) as built:
        yield built


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """It is patient: on a crowded machine a model that is not asked to be silent may seem to be."""
    with house_on(request.param, request, tmp_path, silence_timeout_s=60.0) as built:
        yield built


@pytest.fixture(params=["sqlite", "postgresql"])
def impatient(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_on(request.param, request, tmp_path, silence_timeout_s=0.5) as built:
        yield built


def root(desk: House) -> Person:
    return desk.person("root", role=Role.ADMIN)


def allot(desk: House, scope: str, scope_id: str, period: str, usd: float) -> str:
    return desk.services.budgets.book.allot(root(desk), scope, scope_id, period, usd).id


def only(desk: House, *names: str) -> None:
    for name in ("first", "second", "reader"):
        desk.services.catalogue.change(root(desk), name, enabled=name in names)


def sums(desk: House) -> dict[tuple[str, str], BudgetSumRow]:
    with desk.services.database.read() as session:
        rows = session.exec(select(BudgetSumRow)).all()
    return {(row.budget_id, row.key): row for row in rows}


def reservations(desk: House) -> list[BudgetReservationRow]:
    with desk.services.database.read() as session:
        return list(session.exec(select(BudgetReservationRow)).all())


def cost(turn: TurnView) -> int:
    assert turn.receipt is not None
    return round(turn.receipt.cost_usd * DOLLAR)


def answered(turn: TurnView) -> str:
    assert turn.receipt is not None
    return turn.receipt.model


def reasons(turn: TurnView) -> dict[str, str]:
    assert turn.receipt is not None
    assert turn.receipt.route is not None
    return {d.model: d.reason for d in turn.receipt.route.decisions if not d.allowed}


def test_an_answer_is_settled_with_what_it_cost_in_every_budget_it_falls_under(desk: House) -> None:
    ann = desk.person("ann")
    ids = [
        allot(desk, "company", "", "month", 1),
        allot(desk, "team", "Sales", "month", 1),
        allot(desk, "person", EACH, "day", 1),
        allot(desk, "model", "first", "day", 1),
    ]
    elsewhere = allot(desk, "model", "second", "day", 1)
    turn = desk.ask(ann, LYON)
    assert turn.status == "finished"
    assert cost(turn) > 0
    spent = {budget: row for (budget, _), row in sums(desk).items()}
    assert {spent[id].spent_micro for id in ids} == {cost(turn)}
    assert {row.reserved_micro for row in spent.values()} == {0}
    assert elsewhere not in spent


def test_at_the_limit_the_next_model_of_the_list_answers_and_the_receipt_says_why(
    desk: House,
) -> None:
    ann = desk.person("ann")
    allot(desk, "model", "first", "month", 0.0001)
    turn = desk.ask(ann, LYON)
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "second")
    assert desk.first.calls == []
    assert (
        "it would go over the budget of the model first, which renews on" in reasons(turn)["first"]
    )
    (event,) = (e for e in desk.events(turn.id) if e["type"] == "budget_blocked")
    assert (event["models"], event["outcome"]) == (["first"], "another model")


def test_a_model_that_costs_nothing_still_answers(desk: House) -> None:
    allot(desk, "company", "", "month", 0.0)
    turn = desk.ask(desk.person("ann"), LYON)
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "reader")


def test_with_nothing_left_the_person_is_told_which_budget_and_when_it_renews(desk: House) -> None:
    only(desk, "first", "second")
    ann = desk.person("ann")
    allot(desk, "person", ann.id, "day", 0.0005)
    turn = desk.ask(ann, LYON)
    only(desk, "first", "second", "reader")
    assert turn.status == "failed"
    assert re.fullmatch(
        r"Your budget for today has no room for another answer: \$0\.0005 of \$0\.0005 are left, and an answer may cost "
        r"up to \$0\.00[12]\d+\. It renews at midnight \(UTC\)\. Ask again then, or request more\.",
        turn.error,
    )
    assert desk.first.calls == desk.second.calls == []
    (event,) = (e for e in desk.events(turn.id) if e["type"] == "budget_blocked")
    assert (event["models"], event["outcome"]) == (["second", "first"], "stopped") or (
        event["models"] == ["first", "second"]
    )
    assert {row.reserved_micro for row in sums(desk).values()} <= {0}


def test_a_failed_model_is_released_before_the_next_is_held(desk: House) -> None:
    """The budget has room for one call at a time."""
    ann = desk.person("ann")
    wide = allot(desk, "person", ann.id, "month", 1)
    desk.ask(ann, LYON)
    held = next(row for row in reservations(desk) if row.sums[0][0] == wide).reserved_micro
    desk.services.budgets.book.remove(root(desk), wide)
    allot(desk, "person", ann.id, "month", held * 1.4 / DOLLAR)
    desk.first._faults.append(ModelUnavailable("First is down."))
    turn = desk.ask(ann, LYON)
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "second")


def test_a_turn_that_is_over_looks_for_no_other_model(desk: House) -> None:
    """It was stopped while its models were being chosen: choosing again would never end."""
    allot(desk, "company", "", "month", 50.0)
    desk.ask(desk.person("ann"), LYON)
    (call,) = desk.first.calls
    stages = desk.services.stages()
    purse = Purse("turn_over", stages.budgets, stages.catalogue, [], stages.in_pool)
    purse.close()
    with pytest.raises(OverBudget, match="over"):
        purse.secured("first", call)


def test_a_fallback_over_its_budget_is_not_asked_and_said(desk: House) -> None:
    """There was room for it when the route was chosen; somebody else has spent it meanwhile."""
    ann = desk.person("ann")
    second = allot(desk, "model", "second", "day", 1)

    class Spends(Waits):
        async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
            del call
            allot(desk, "model", "second", "day", 0.00001)
            raise ModelUnavailable("First is down.")
            yield

    desk.services.catalogue.add(card("first", DataClass.INTERNAL), Spends(), "openai")
    try:
        turn = desk.ask(ann, LYON)
    finally:
        desk.services.catalogue.add(card("first", DataClass.INTERNAL), desk.first, "openai")
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "reader")
    assert desk.second.calls == []
    assert "budget of the model second" in reasons(turn)["second"]
    assert {one.budget_id: one.reserved_micro for one in sums(desk).values()}.get(second, 0) == 0


@pytest.fixture
def unpriced(desk: House) -> Iterator[House]:
    """The first model's price is not known."""
    desk.services.catalogue.change(root(desk), "first", price_in=0.0, price_out=0.0)
    yield desk
    desk.services.catalogue.change(root(desk), "first", price_in=1.0, price_out=2.0, free=False)


def test_a_model_whose_price_is_not_known_is_left_out_where_a_budget_applies(
    unpriced: House,
) -> None:
    ann = unpriced.person("ann")
    assert answered(unpriced.ask(ann, LYON)) == "first"
    elsewhere = allot(unpriced, "team", "Finance", "month", 100)
    assert answered(unpriced.ask(ann, LYON)) == "first"
    unpriced.services.budgets.book.remove(root(unpriced), elsewhere)
    allot(unpriced, "person", ann.id, "month", 100)
    unpriced.first.calls.clear()
    turn = unpriced.ask(ann, LYON)
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "second")
    assert unpriced.first.calls == []
    assert reasons(turn)["first"] == (
        "its price is not known, and a budget applies; an admin can set its price or declare it "
        "free on Models"
    )
    unpriced.services.catalogue.change(root(unpriced), "first", free=True)
    turn = unpriced.ask(ann, LYON)
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "first")
    assert cost(turn) == 0
    unpriced.services.catalogue.change(root(unpriced), "first", free=False, price_in=0.5)
    turn = unpriced.ask(ann, LYON)
    assert answered(turn) == "first"
    assert cost(turn) > 0


def test_with_nothing_but_an_unpriced_model_the_person_is_told_why_and_no_budget_is_blamed(
    unpriced: House,
) -> None:
    only(unpriced, "first")
    allot(unpriced, "company", "", "month", 100)
    turn = unpriced.ask(unpriced.person("ann"), LYON)
    only(unpriced, "first", "second", "reader")
    assert turn.status == "failed"
    assert "First: its price is not known, and a budget applies" in turn.error
    assert "no room" not in turn.error
    assert unpriced.first.calls == []
    assert [e for e in unpriced.events(turn.id) if e["type"] == "budget_blocked"] == []


def test_the_local_reader_needs_no_price(desk: House) -> None:
    only(desk, "reader")
    allot(desk, "company", "", "month", 100)
    turn = desk.ask(desk.person("ann"), LYON)
    only(desk, "first", "second", "reader")
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "reader")


def test_a_fallback_whose_price_was_taken_away_meanwhile_is_not_asked(desk: House) -> None:
    allot(desk, "company", "", "month", 100)

    class TakesAway(Waits):
        async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
            del call
            desk.services.catalogue.change(root(desk), "second", price_in=0.0, price_out=0.0)
            raise ModelUnavailable("First is down.")
            yield

    desk.services.catalogue.add(card("first", DataClass.INTERNAL), TakesAway(), "openai")
    try:
        turn = desk.ask(desk.person("ann"), LYON)
    finally:
        desk.services.catalogue.add(card("first", DataClass.INTERNAL), desk.first, "openai")
        desk.services.catalogue.change(root(desk), "second", price_in=1.0, price_out=2.0)
    assert (turn.status, turn.receipt and turn.receipt.model) == ("finished", "reader")
    assert desk.second.calls == []
    assert "its price is not known" in reasons(turn)["second"]


class Waits:
    """Answers when it is told to, and is never silent for long until then."""

    id, label, provider = "first", "First", "scripted"
    continues: Continues = ""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelChunk, None]:
        self.asked += 1
        yield TextDelta("The limit is 180 euros [1].")
        while not self.go.is_set():
            yield TextDelta(" ")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.go.wait(), 0.1)
        yield ModelDone(estimated(call, "The limit is 180 euros [1]."))

    async def check(self) -> None: ...

    async def close(self) -> None: ...


@contextlib.contextmanager
def never_above(desk: House, limit_micro: int) -> Iterator[None]:
    """Looks at every budget all the while."""
    above, over = list[int](), threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            totals = [one.spent_micro + one.reserved_micro for one in sums(desk).values()]
            above.extend(total for total in totals if total > limit_micro)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert above == []


def test_fifty_at_once_are_admitted_as_far_as_the_budget_reaches_and_not_a_step_further(
    shared: House,
) -> None:
    model = Waits()
    shared.services.catalogue.add(card("first", DataClass.INTERNAL), model, "openai")
    only(shared, "first")
    people = [shared.person(f"p{number:02}") for number in range(TOGETHER)]
    probe = allot(shared, "company", "", "month", 1)
    shared.loop.call_soon_threadsafe(model.go.set)
    shared.ask(people[0], LYON)
    (row,) = reservations(shared)
    each = row.reserved_micro
    shared.services.budgets.book.remove(root(shared), probe)
    model.asked = 0
    shared.loop.call_soon_threadsafe(model.go.clear)
    limit = 10 * each + each // 2
    budget = allot(shared, "company", "", "month", limit / DOLLAR)
    with never_above(shared, limit):
        with ThreadPoolExecutor(TOGETHER) as pool:
            lives = list(pool.map(lambda who: shared.start(who, LYON), people))
        # Who found no room ends by itself; the others wait for their model.
        refused = [live for live in lives if live.wait_done(0.01)]
        while len(refused) < TOGETHER - 10:
            refused = [live for live in lives if live.wait_done(0.05)]
        shared.loop.call_soon_threadsafe(model.go.set)
        assert all(live.wait_done(90) for live in lives)
        views = [
            shared.services.chats.turn(who, live.turn_id)
            for who, live in zip(people, lives, strict=True)
        ]
        ends = Counter(
            "no room" if "budget" in view.error else view.error or view.status for view in views
        )
        assert (model.asked, ends) == (10, {"no room": TOGETHER - 10, "finished": 10})
        spent = sum(cost(view) for view in views)
        while limit - spent >= each:  # nobody is refused while there is room…
            view = shared.ask(people[0], LYON)
            assert view.status == "finished"
            spent += cost(view)
        assert (
            shared.ask(people[0], LYON).status == "failed"
        )  # …and nobody admitted once there is none
    total = sums(shared)[budget, "company"]
    assert (total.spent_micro, total.reserved_micro) == (spent, 0)
    assert limit - each < spent <= limit


WAYS = (
    "ok",
    "ok",
    "no_usage",
    "truncated",
    "server_error",
    "overloaded",
    "stalls",
    "limited_plain",
)


def test_after_a_storm_of_answers_failures_and_stops_the_sums_are_those_of_the_receipts(
    impatient: House,
) -> None:
    dice = random.Random(5)
    serving = model_server()
    server: ModelServer = on(impatient, serving.__aenter__())
    server.behaves = lambda _body: dice.choice(WAYS)
    models = (
        AnthropicModel("second", "Second", model_name="second", api_key="k", base_url=server.url),
        OpenAIModel("first", "First", model_name="first", api_key="k", base_url=server.openai_url),
    )
    for model in models:
        impatient.services.catalogue.add(card(model.id, DataClass.INTERNAL), model, "openai")
    only(impatient, "first", "second")
    company = allot(impatient, "company", "", "month", 0.05)
    each = allot(impatient, "person", EACH, "day", 0.02)
    by_model = allot(impatient, "model", EACH, "month", 0.04)
    people = [impatient.person(f"p{number}") for number in range(6)]

    def one(number: int) -> tuple[Person, TurnView]:
        who = people[number % len(people)]
        for model in models:
            impatient.services.catalogue.health.succeeded(model.id)
        live = impatient.start(who, LYON)
        if number % 4 == 0:
            live.wait(number % 3, 1.0)
            impatient.services.turns.stop(who, live.turn_id)
        assert live.wait_done(90)
        return who, impatient.services.chats.turn(who, live.turn_id)

    try:
        with ThreadPoolExecutor(12) as pool:
            ended = list(pool.map(one, range(72)))
    finally:
        on(impatient, impatient.services.catalogue.close())
        on(impatient, serving.__aexit__(None, None, None))
    assert {"finished", "stopped", "failed"} == {view.status for _, view in ended}
    wanted: Counter[tuple[str, str]] = Counter()
    for who, view in ended:
        wanted[company, "company"] += cost(view)
        wanted[each, who.id] += cost(view)
    called: Counter[tuple[str, str]] = Counter()
    for event in (json.loads(line)["event"] for line in impatient.services.ledger.export()):
        if event["type"] == "model_called":
            called[by_model, event["model"]] += round(event["cost_usd"] * DOLLAR)
    found = sums(impatient)
    assert {key: row.spent_micro for key, row in found.items() if row.spent_micro} == {
        key: amount for key, amount in {**wanted, **called}.items() if amount
    }
    assert {row.reserved_micro for row in found.values()} == {0}
    assert {row.status for row in reservations(impatient)} == {"settled"}
    assert found[company, "company"].spent_micro <= 50_000


def on(desk: House, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, desk.loop).result(30)
