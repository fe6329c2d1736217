"""What a rehearsal costs is held before each call and settled after it, from the budgets that its admin's questions fall under."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlmodel import select

from app import wiring
from app.budgets import EACH, money
from app.db.tables import BudgetReservationRow, BudgetSumRow, RehearsalRow
from app.domain import DataClass, ModelCall, Role
from app.llm.scripted import ScriptedModel
from app.llm.scripted_server import ScriptedServer
from app.rehearsal import Golden, Result
from app.rehearsal.asking import AT_ONCE
from app.settings import Settings
from app.wiring import Services
from tests.chat.house import House, card, house
from tests.rehearsal.conftest import LYON, TRAVEL, Stage
from tests.servers.model_server import ModelServer
from tests.ui.conftest import running_loop


@pytest.fixture(autouse=True)
def clean(stage: Stage) -> Iterator[None]:
    yield
    book = stage.house.services.budgets.book
    for budget in book.budgets():
        book.remove(stage.noor, budget.id)
    forget(stage)


def allot(stage: Stage, scope: str, key: str, amount_micro: int) -> str:
    book = stage.house.services.budgets.book
    return book.allot(stage.noor, scope, key, "month", money.usd(amount_micro)).id


def sums(services: Services) -> dict[tuple[str, str], BudgetSumRow]:
    with services.database.read() as session:
        rows = session.execute(select(BudgetSumRow)).scalars()
        return {(row.budget_id, row.key): row for row in rows}


def reservations(services: Services) -> list[BudgetReservationRow]:
    with services.database.read() as session:
        return list(session.execute(select(BudgetReservationRow)).scalars())


def spent(stage: Stage) -> dict[str, int]:
    """By budget; nothing is held any more."""
    found = sums(stage.house.services)
    assert {row.reserved_micro for row in found.values()} <= {0}
    assert {row.status for row in reservations(stage.house.services)} <= {"settled"}
    return {budget: row.spent_micro for (budget, _), row in found.items()}


def results(stage: Stage, row: RehearsalRow) -> list[Result]:
    return stage.rehearsals.runs.results(stage.noor, row.id)


def called(stage: Stage) -> Counter[str]:
    """Micro-dollars by model, as the log has them."""
    costs: Counter[str] = Counter()
    for line in stage.house.services.ledger.export():
        event = json.loads(line)["event"]
        if event["type"] == "model_called":
            costs[event["model"]] += money.micro(event["cost_usd"])
    return costs


def questions(count: int) -> list[Golden]:
    return [Golden(f"{LYON} {number}") for number in range(count)]


def a_call(stage: Stage, model: str = "good") -> int:
    """What is held for one answer of `model` to one of `questions`."""
    stage.golden(*questions(1))
    probe = allot(stage, "company", "", 10_000_000)
    stage.rehearse(model)
    held = max(row.reserved_micro for row in reservations(stage.house.services))
    stage.house.services.budgets.book.remove(stage.noor, probe)
    for golden in stage.rehearsals.golden.of(TRAVEL):
        stage.rehearsals.golden.remove(stage.noor, golden.id)
    draft = stage.house.services.versions.open_version(TRAVEL)
    assert draft is not None
    stage.house.services.versions.discard(stage.noor, draft.id)
    forget(stage)
    return held


def forget(stage: Stage) -> None:
    with stage.house.services.database.write() as session:
        session.execute(delete(BudgetReservationRow))


def test_every_budget_it_falls_under_has_spent_what_the_log_says_to_the_micro_dollar(
    stage: Stage,
) -> None:
    wide = [
        allot(stage, scope, key, 10_000_000)
        for scope, key in (
            ("company", ""),
            ("team", EACH),
            ("person", stage.noor.id),
            ("intent", TRAVEL),
        )
    ]
    models = {name: allot(stage, "model", name, 10_000_000) for name in ("good", "bad", "same")}
    allot(stage, "intent", "general", 10_000_000)
    before = called(stage)
    stage.golden(*questions(7))
    row = stage.rehearse("bad", judge="same")
    assert (row.status, row.done) == ("finished", 7)
    cost = called(stage) - before
    found = spent(stage)
    assert {found[budget] for budget in wide} == {cost.total()} == {money.micro(row.cost_usd)}
    assert {name: found[budget] for name, budget in models.items()} == cost
    assert set(found) == {*wide, *models.values()}
    assert all(cost[name] > 0 for name in models)
    kept = results(stage, row)
    opinions = [result.opinion.cost_usd for result in kept if result.opinion]
    sides = [side.cost_usd for result in kept for side in (result.before, result.after)]
    assert money.micro(sum(opinions) + sum(sides)) == cost.total()


def test_without_a_budget_nothing_is_held(stage: Stage) -> None:
    stage.golden(*questions(1))
    assert stage.rehearse("bad").status == "finished"
    assert reservations(stage.house.services) == []


def test_where_the_money_ends_it_stops_says_why_and_keeps_what_was_answered(stage: Stage) -> None:
    call = a_call(stage)
    stage.golden(*questions(12))
    limit = call * 5 // 2
    budget = allot(stage, "person", stage.noor.id, limit)
    row = stage.rehearse("good")
    total = spent(stage)[budget]
    assert row.status == "stopped"
    assert 0 < row.done < 12
    assert total == money.micro(row.cost_usd) <= limit
    assert limit - total < call  # there really was no room for another
    kept = results(stage, row)
    compared = [result for result in kept if result.verdict != "unpaid"]
    unpaid = [result for result in kept if result.verdict == "unpaid"]
    assert len(compared) == row.done
    assert all(not (r.before.error or r.after.error) for r in compared)
    assert any("Your budget for this month has no room" in r.reasons[0] for r in unpaid)
    assert any("It renews on" in r.reasons[0] for r in unpaid)
    assert len([r for r in unpaid if not (r.before.answer or r.after.answer)]) <= 1
    (ended,) = [e for e in stage.house.events(row.id) if e["change"] != "started"]
    assert (ended["change"], ended["cost_usd"]) == ("stopped", pytest.approx(row.cost_usd))
    with_more = stage.house.services.budgets.book
    with_more.allot(stage.noor, "person", stage.noor.id, "month", 10.0)
    again = stage.over(stage.rehearsals.start(stage.noor, row.version_id))
    assert (again.status, again.done) == ("finished", 12)
    assert spent(stage)[budget] == total + money.micro(again.cost_usd)


def test_one_that_stopped_goes_on_and_asks_only_what_is_left(stage: Stage) -> None:
    call = a_call(stage)
    stage.golden(*questions(12))
    budget = allot(stage, "person", stage.noor.id, call * 5 // 2)
    row = stage.rehearse("good")
    kept = {r.id: r for r in results(stage, row) if r.verdict != "unpaid"}
    assert 0 < len(kept) == row.done < 12
    assert stage.rehearsals.left(stage.noor, row) == 12 - row.done
    stage.house.services.budgets.book.allot(stage.noor, "person", stage.noor.id, "month", 10.0)
    asked = len(stage.server.timings)

    again = stage.over(stage.rehearsals.go_on(stage.noor, row.id))
    assert (again.status, again.questions, again.done) == ("finished", 12, 12)
    assert len(stage.server.timings) - asked == 2 * (12 - row.done)
    found = results(stage, again)
    assert [r.golden.question for r in found] == [g.question for g in questions(12)]
    assert {r.id: r for r in found if r.id in kept} == kept
    assert again.cost_usd > row.cost_usd
    assert spent(stage)[budget] == money.micro(again.cost_usd)
    there = [one.id for one in stage.rehearsals.runs.of(TRAVEL)]
    assert (again.id in there, row.id in there) == (True, False)
    changes = [(e["change"], e["continues"], e["questions"]) for e in stage.house.events(again.id)]
    assert changes == [("resumed", row.id, 12), ("finished", "", 12)]
    assert stage.rehearsals.left(stage.noor, again) == 0


def test_with_no_room_at_all_no_model_is_asked(stage: Stage) -> None:
    stage.golden(*questions(5))
    allot(stage, "company", "", 10)
    row = stage.rehearse("bad")
    assert (row.status, row.done, row.cost_usd) == ("stopped", 0, 0.0)
    assert len(stage.server.timings) == 0
    (result,) = results(stage, row)
    assert result.verdict == "unpaid"
    assert result.reasons[0].startswith("The company's budget for this month has no room")
    assert "$" not in result.reasons[0]
    (event,) = [e for e in stage.house.events(result.id) if e["type"] == "budget_blocked"]
    assert (event["scope"], event["outcome"]) == ("company", "stopped")
    assert reservations(stage.house.services) == []


def test_what_its_own_questions_hold_is_no_reason_to_stop(stage: Stage) -> None:
    """There is room for one call at a time, and two questions are under way."""
    call = a_call(stage)
    stage.golden(*questions(2))
    budget = allot(stage, "company", "", call * 195 // 100)
    probe = allot(stage, "team", "Sales", 10_000_000)
    row = stage.rehearse("bad")
    found = spent(stage)
    assert (row.status, row.done) == ("finished", 2)
    assert found[budget] == found[probe] == money.micro(row.cost_usd)
    held = [one.reserved_micro for one in reservations(stage.house.services)]
    assert len(held) == 4
    assert min(held) * 2 > call * 195 // 100  # no two of them fitted together


def test_a_model_without_room_is_not_rehearsed_by_way_of_another(stage: Stage) -> None:
    stage.golden(*questions(2))
    allot(stage, "model", "bad", 10)
    row = stage.rehearse("bad", "good")
    assert row.status == "stopped"
    for result in results(stage, row):
        assert result.verdict == "unpaid"
        assert result.after.answer == ""
        assert "The budget of the model bad" in result.reasons[0]


def test_a_model_whose_price_is_not_known_is_not_rehearsed_where_a_budget_applies(
    stage: Stage,
) -> None:
    catalogue, versions = stage.house.services.catalogue, stage.house.services.versions
    stage.golden(*questions(1))
    draft = stage.draft("bad", "good")
    catalogue.change(stage.noor, "bad", price_in=0.0, price_out=0.0)
    try:
        assert stage.rehearsals.estimate(stage.noor, draft.id).short == ""
        allot(stage, "company", "", 10_000_000)
        short = stage.rehearsals.estimate(stage.noor, draft.id).short
        versions.discard(stage.noor, draft.id)
        row = stage.rehearse("bad", "good")
    finally:
        catalogue.change(stage.noor, "bad", price_in=1.0, price_out=2.0)
    (result,) = results(stage, row)
    assert (row.status, result.verdict, result.after.answer) == ("stopped", "unpaid", "")
    assert short.startswith("Bad: its price is not known, and a budget applies;")
    assert short in result.reasons


def test_a_fallback_without_room_stops_it_too(stage: Stage) -> None:
    stage.golden(*questions(1))
    allot(stage, "model", "bad", 10)
    row = stage.rehearse("server_error", "bad", "good")
    (result,) = results(stage, row)
    assert (row.status, result.verdict) == ("stopped", "unpaid")
    assert spent(stage) == {}


def test_a_second_model_that_could_not_be_asked_in_parallel_does_not_matter(stage: Stage) -> None:
    """The first one is slow and answers all the same."""
    turns, stages = stage.house.services.turns, stage.house.services.stages()
    slow = ScriptedModel("slow", answer=lambda _: ["180 euros [1]."], delay_ms=600)
    stage.house.services.catalogue.add(card("slow", DataClass.INTERNAL), slow, "slow")
    stage.golden(*questions(1))
    allot(stage, "model", "bad", 10)
    hedging = replace(stages, patience=replace(stages.patience, hedge=0.01))
    turns.attach(stage.house.loop, hedging)
    try:
        row = stage.rehearse("slow", "bad")
    finally:
        turns.attach(stage.house.loop, stages)
    (result,) = results(stage, row)
    assert (row.status, row.done, result.after.model) == ("finished", 1, "slow")
    assert result.verdict != "unpaid"
    (event,) = [e for e in stage.house.events(result.id) if e["type"] == "budget_blocked"]
    assert (event["models"], event["outcome"]) == (["bad"], "another model")


def test_where_the_judge_has_no_room_both_answers_are_compared_all_the_same(stage: Stage) -> None:
    stage.golden(Golden(LYON, (), ("180 euros",)))
    allot(stage, "model", "same", 10)
    row = stage.rehearse("bad", judge="same")
    (result,) = results(stage, row)
    assert (row.status, row.done, result.verdict) == ("stopped", 1, "worse")
    assert result.opinion is not None
    assert result.opinion.unpaid
    assert "the budget of the model same" in result.opinion.error
    blocked = [e for e in stage.house.events(result.id) if e["type"] == "budget_blocked"]
    assert [event["models"] for event in blocked] == [["same"]]


def test_what_was_held_when_it_is_cancelled_is_settled(stage: Stage) -> None:
    stage.golden(*questions(6))
    budget = allot(stage, "company", "", 10_000_000)
    started = stage.rehearsals.start(stage.noor, stage.draft("silent").id)
    until = time.monotonic() + 90
    while len(stage.faulty.requests) < AT_ONCE:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert sums(stage.house.services)[budget, "company"].reserved_micro > 0
    stage.rehearsals.cancel(stage.noor, started)
    assert stage.over(started).status == "cancelled"
    stage.on_loop(stage.rehearsals.drain(10))
    row = stage.rehearsals.runs.get(started)
    assert spent(stage)[budget] == money.micro(row.cost_usd) > 0


def test_the_estimate_says_when_it_would_not_fit(stage: Stage) -> None:
    stage.golden(*questions(3))
    draft = stage.draft("bad")
    found = stage.rehearsals.estimate(stage.noor, draft.id)
    assert found.short == ""
    most = money.micro(found.most_usd)
    allot(stage, "person", stage.noor.id, most)
    allot(stage, "model", "bad", most // 2 + 1)
    assert stage.rehearsals.estimate(stage.noor, draft.id).short == ""
    assert stage.rehearsals.estimate(stage.noor, draft.id, "same").short != ""
    allot(stage, "person", stage.noor.id, most - 1)
    left = money.words(most - 1)
    short = stage.rehearsals.estimate(stage.noor, draft.id).short
    assert short.startswith(
        f"Your budget for this month has no room for that much: {left} of {left} are left. It renews"
    )
    allot(stage, "person", stage.noor.id, 10_000_000)
    allot(stage, "company", "", most // 2)
    short = stage.rehearsals.estimate(stage.noor, draft.id).short
    assert short.startswith("The company's budget for this month has no room for that much. It")
    assert reservations(stage.house.services) == []


def test_the_estimate_is_what_is_held_for_all_calls(stage: Stage) -> None:
    stage.golden(*questions(3))
    allot(stage, "company", "", 10_000_000)
    draft = stage.draft("bad")
    most = money.micro(stage.rehearsals.estimate(stage.noor, draft.id).most_usd)
    stage.over(stage.rehearsals.start(stage.noor, draft.id))
    assert sum(row.reserved_micro for row in reservations(stage.house.services)) == most


class Hangs(ScriptedModel):
    """Never answers, and says so on standard output once it has been asked often enough."""

    asked = 0

    async def stream(self, call: ModelCall):  # type: ignore[no-untyped-def]
        del call
        self.asked += 1
        if self.asked == AT_ONCE:
            print("hanging", flush=True)
        await asyncio.Event().wait()
        yield


def company(services: Services, *models: ScriptedModel) -> Stage:
    """An admin, and models of this process."""
    for model in models:
        services.catalogue.add(card(model.id, DataClass.INTERNAL), model, model.id)
    built = House(services, models[0], models[-1], asyncio.new_event_loop())
    noor = built.person("noor", role=Role.ADMIN)
    return Stage(built, ScriptedServer(), ModelServer(), noor)


def good() -> ScriptedModel:
    return ScriptedModel("good", answer=lambda _: ["The limit is 180 euros [1]."])


def die(folder: Path) -> None:
    """For a process of its own, which the test kills."""
    with house(folder, silence_timeout_s=300, first_token_timeout_s=300) as built:
        stage = company(built.services, good(), Hangs("late"))
        stage.publish("good")
        stage.golden(*questions(4))
        allot(stage, "company", "", 10_000_000)
        allot(stage, "person", EACH, 10_000_000)
        stage.rehearsals.start(stage.noor, stage.draft("late").id)
        while True:
            time.sleep(60)


def test_a_process_that_dies_in_the_middle_leaves_nothing_held_and_nothing_twice(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.rehearsal.test_spending", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "hanging\n" for line in process.stdout)
        os.kill(process.pid, signal.SIGKILL)

    with restarted(tmp_path) as services:
        (row,) = services.rehearsals.runs.of(TRAVEL)
        assert row.status == "interrupted"
        rows = reservations(services)
        late = [(one.status, one.settled_micro) for one in rows if one.model == "late"]
        assert late == [("expired", one.prompt_micro) for one in rows if one.model == "late"]
        assert len(late) == AT_ONCE
        # Questions 0 and 2 were asked of the published route first.
        answered = [one.settled_micro for one in rows if one.model == "good"]
        assert len(answered) == 2
        assert money.micro(row.cost_usd) == sum(answered)
        paid = sum(one.settled_micro for one in rows)
        found = sums(services).values()
        assert [(one.spent_micro, one.reserved_micro) for one in found] == [(paid, 0)] * 2
        assert services.budgets.reservations.sweep(all_held=True) == 0  # nothing is paid twice
        late_again = ScriptedModel("late", answer=lambda _: ["It is 180 euros [1]."])
        stage = company(services, good(), late_again)
        again = stage.over(stage.rehearsals.go_on(stage.noor, row.id))
        assert (again.status, again.done, again.questions) == ("finished", 4, 4)
        paid += money.micro(again.cost_usd) - money.micro(row.cost_usd)
        found = sums(services).values()
        assert [(one.spent_micro, one.reserved_micro) for one in found] == [(paid, 0)] * 2


@contextmanager
def restarted(folder: Path) -> Iterator[Services]:
    """The desk of `folder` as a start after a crash brings it up."""
    services = wiring.build(
        Settings(
            data_dir=folder / "data",
            demo=False,
            local_model=False,
            openai_api_key="",
            anthropic_api_key="",
        )
    )
    assert {row.status for row in reservations(services) if row.model == "late"} == {"held"}
    with running_loop() as loop:
        services.start(loop)
        yield services
        asyncio.run_coroutine_threadsafe(services.stop(), loop).result(60)
    services.close()


if __name__ == "__main__":
    die(Path(sys.argv[1]))
