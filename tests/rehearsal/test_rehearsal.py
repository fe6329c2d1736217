"""A draft on the golden set beside the published route: real stages, real wire formats, nobody else's documents, no traffic."""

from __future__ import annotations

import json
import time

import pytest
from sqlalchemy import func, select

from app.db.tables import (
    RehearsalResultRow,
    RehearsalRow,
    RouteOutcomeRow,
    TurnRow,
    UsageFactRow,
)
from app.domain import DataClass, ModelCall, Role, now
from app.errors import InputError, NotFound
from app.llm.scripted import ScriptedModel
from app.rehearsal import Golden, Rehearsals
from app.rehearsal.asking import AT_ONCE
from app.rehearsal.runs import STALE
from tests.chat.house import card
from tests.rehearsal.conftest import LYON, TRAVEL, Stage

SALARY = "What is the salary band of a senior engineer in Lyon?"


def counts(stage: Stage) -> list[int]:
    with stage.house.services.database.read() as session:
        return [
            session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (TurnRow, UsageFactRow, RouteOutcomeRow)
        ]


def test_both_answers_stand_side_by_side_with_what_is_measured(stage: Stage) -> None:
    stage.golden(Golden(LYON, ("Travel policy",), ("180 euros | €180",), ("500 euros",)))
    row = stage.rehearse("bad")
    assert (row.status, row.questions, row.done) == ("finished", 1, 1)
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    assert (result.before.label, result.after.label) == ("Good", "Bad")
    assert [c.title for c in result.before.cited] == ["Travel policy"]
    assert len(result.before.sources_found) == 1
    assert len(result.after.sources_missing) == 1
    assert (result.before.said, result.after.unsaid) == (("180 euros | €180",),) * 2
    assert result.after.said_in_spite == ("500 euros",)
    assert (result.before.grounded, result.after.grounded) == (1.0, 0.0)
    assert result.verdict == "worse"
    assert any("no longer says" in reason for reason in result.reasons)
    for side in (result.before, result.after):
        assert side.first_token_ms is not None
        assert 0 < side.first_token_ms <= side.total_ms
        assert side.cost_usd > 0
    assert row.cost_usd == pytest.approx(result.before.cost_usd + result.after.cost_usd)
    assert stage.rehearsals.runs.verdicts(row.id) == {"worse": 1}
    assert (row.before["models"], row.after["models"]) == (["good"], ["bad"])


def test_nothing_of_it_is_traffic(stage: Stage) -> None:
    """No turn, no usage, no canary outcome, and the breakers of people's questions learn nothing."""
    stage.golden(*(Golden(f"{LYON} {n}") for n in range(4)))
    services = stage.house.services
    rows = counts(stage)
    before = services.catalogue.health.of("server_error"), services.catalogue.health.of("good")
    row = stage.rehearse("server_error", "good")
    assert (
        services.catalogue.health.of("server_error"),
        services.catalogue.health.of("good"),
    ) == before
    assert counts(stage) == rows
    assert stage.rehearsals.runs.verdicts(row.id) == {"worse": 4}
    result = stage.rehearsals.runs.results(stage.noor, row.id)[0]
    assert result.after.label == "Good"
    assert "Server_Error" in result.after.note


def test_what_was_asked_and_cost_is_in_the_log_as_a_rehearsal(stage: Stage) -> None:
    stage.golden()
    row = stage.rehearse("bad")
    started, ended = stage.house.events(row.id)
    assert (started["change"], ended["change"]) == ("started", "finished")
    assert (ended["verdicts"], ended["cost_usd"]) == ({"worse": 1}, pytest.approx(row.cost_usd))
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    found = {event["type"]: event for event in stage.house.events(result.id)}
    assert found.keys() == {"search_done", "model_called"}
    called = [e["model"] for e in stage.house.events(result.id) if e["type"] == "model_called"]
    assert sorted(called) == ["bad", "good"]
    log = "\n".join(stage.house.services.ledger.export())
    assert "hotel limit" not in log
    assert "180 euros" not in log


def test_it_searches_with_the_eyes_of_who_runs_it_and_nobody_else_reads_the_answers(
    stage: Stage,
) -> None:
    stage.golden(Golden(SALARY, ("Salary bands",)))
    hal = stage.house.person("hal", "hr", role=Role.ADMIN)
    row = stage.rehearse("good")
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    assert result.before.sources_missing == ("Salary bands",)
    assert all("61,000" not in json.dumps(call) for call in stage.faulty.requests)
    assert stage.rehearsals.runs.results(hal, row.id) == []
    own = stage.rehearse("good", person=hal)
    (seen,) = stage.rehearsals.runs.results(hal, own.id)
    # No model here is cleared for restricted data: the passage is not sent, or nothing is.
    assert "not cleared" in seen.after.error or seen.after.sources_found == ()
    assert stage.rehearsals.runs.results(stage.noor, own.id) == []


def test_passages_reach_only_models_cleared_for_them(stage: Stage) -> None:
    hal = stage.house.person("hal", "hr", role=Role.ADMIN)
    cleared = ScriptedModel("cleared", answer=lambda _: ["The band is 61,000 euros [1]."])
    stage.house.services.catalogue.add(card("cleared", DataClass.RESTRICTED), cleared, "cleared")
    stage.golden(Golden(SALARY, (), ("61,000 euros",)))
    row = stage.rehearse("cleared", person=hal)
    (result,) = stage.rehearsals.runs.results(hal, row.id)
    assert result.after.said == ("61,000 euros",)
    assert result.before.said == ()
    assert result.verdict == "better"
    assert cleared.calls[0].passages[0].data_class is DataClass.RESTRICTED


@pytest.mark.parametrize(
    ("model", "told"),
    [("server_error", "No model could answer"), ("cut_off", "cut_off cannot be reached")],
)
def test_a_question_that_fails_says_why_and_the_others_go_on(
    stage: Stage, model: str, told: str
) -> None:
    stage.golden(*(Golden(f"{LYON} {n}") for n in range(3)))
    row = stage.rehearse(model)
    assert (row.status, row.done) == ("finished", 3)
    for result in stage.rehearsals.runs.results(stage.noor, row.id):
        assert result.before.error == ""
        assert result.after.error
        assert result.verdict == "worse"
    first = stage.rehearsals.runs.results(stage.noor, row.id)[0]
    assert told in first.after.error
    assert first.after.answer == ("Trains " if model == "cut_off" else "")


def test_it_is_cancelled_at_once_and_what_is_done_is_kept(stage: Stage) -> None:
    stage.golden(*(Golden(f"{LYON} {n}") for n in range(8)))
    idle = stage.faulty.open_connections
    started = stage.rehearsals.start(stage.noor, stage.draft("silent").id)
    until = time.monotonic() + 90
    while len(stage.faulty.requests) < AT_ONCE:
        assert time.monotonic() < until
        time.sleep(0.01)
    with pytest.raises(InputError, match="running"):
        stage.rehearsals.start(stage.noor, stage.draft("silent").id)
    stage.rehearsals.cancel(stage.noor, started)
    assert stage.over(started).status == "cancelled"
    stage.on_loop(stage.faulty.hung_up(but=idle))
    stage.on_loop(stage.rehearsals.drain(10))
    row = stage.rehearsals.runs.get(started)
    assert row.done == 0
    assert row.cost_usd > 0  # the published route's answers had come, and were paid for
    stage.rehearsals.cancel(stage.noor, started)
    assert stage.rehearse("good").status == "finished"


def test_a_run_whose_process_died_is_interrupted(stage: Stage) -> None:
    stage.golden()
    row = stage.rehearse("good")
    with stage.house.services.database.write() as session:
        again = session.get(RehearsalRow, row.id)
        assert again is not None
        again.status = "running"
        session.add(again)
    assert stage.rehearsals.runs.interrupt_stale(all_running=True) == 1
    assert stage.rehearsals.runs.get(row.id).status == "interrupted"


def test_going_on_asks_what_was_added_and_changed_and_drops_what_was_removed(stage: Stage) -> None:
    stage.golden(*(Golden(f"{LYON} {n}", must_say=("180 euros",)) for n in range(4)))
    row = stage.rehearse("bad")
    same, changed, removed, also_same = stage.rehearsals.golden.of(TRAVEL)
    stage.rehearsals.golden.change(stage.noor, changed.id, Golden(changed.question))
    stage.rehearsals.golden.remove(stage.noor, removed.id)
    stage.golden(Golden(f"{LYON} 4"))
    assert stage.rehearsals.left(stage.noor, row) == 2

    again = stage.over(stage.rehearsals.go_on(stage.noor, row.id))
    assert (again.status, again.questions, again.done) == ("finished", 4, 4)
    found = [result.golden for result in stage.rehearsals.runs.results(stage.noor, again.id)]
    assert [golden.question for golden in found] == [
        same.question,
        changed.question,
        also_same.question,
        f"{LYON} 4",
    ]
    assert [golden.must_say for golden in found] == [("180 euros",), (), ("180 euros",), ()]


def test_two_runners_of_one_rehearsal_do_not_keep_twice(stage: Stage) -> None:
    """The first process only seemed to be dead."""
    stage.golden(*(Golden(f"{LYON} {n}") for n in range(2)))
    started = stage.rehearsals.start(stage.noor, stage.draft("silent").id)
    until = time.monotonic() + 90
    while len(stage.faulty.requests) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    with pytest.raises(InputError, match="running"):
        stage.rehearsals.go_on(stage.noor, started)
    services = stage.house.services
    elsewhere = Rehearsals(
        services.database,
        services.ledger,
        services.versions,
        services.turns,
        services.identity.accounts.person,
        services.intents.vectors,
        lambda: now() + 2 * STALE,
    )
    again = elsewhere.go_on(stage.noor, started)
    with pytest.raises(NotFound):
        stage.rehearsals.runs.get(started)
    stage.on_loop(stage.rehearsals.drain(10))
    elsewhere.cancel(stage.noor, again)
    stage.on_loop(elsewhere.drain(10))
    row = stage.over(again)
    assert (row.status, row.done) == ("cancelled", 0)
    assert stage.rehearsals.runs.results(stage.noor, again) == []


def test_one_that_would_not_compare_does_not_go_on(stage: Stage) -> None:
    stage.golden()
    row = stage.rehearse("bad")
    with pytest.raises(InputError, match="Every question was answered"):
        stage.rehearsals.go_on(stage.noor, row.id)
    stage.golden(Golden(f"{LYON} 1"))
    assert stage.rehearsals.left(stage.noor, row) == 1
    other = stage.house.person("nadia", role=Role.ADMIN)
    assert stage.rehearsals.left(other, row) == 0
    with pytest.raises(InputError, match="Somebody else"):
        stage.rehearsals.go_on(other, row.id)
    stage.draft("same")
    assert stage.rehearsals.left(stage.noor, row) == 0
    with pytest.raises(InputError, match="route has changed"):
        stage.rehearsals.go_on(stage.noor, row.id)
    stage.draft("bad")
    assert stage.rehearsals.left(stage.noor, row) == 1
    draft = stage.house.services.versions.open_version(TRAVEL)
    assert draft is not None
    stage.house.services.versions.discard(stage.noor, draft.id)
    assert stage.rehearsals.left(stage.noor, row) == 0
    assert [one.id for one in stage.rehearsals.runs.of(TRAVEL)] == [row.id]


def test_the_estimate_is_an_upper_bound_and_calls_nothing(stage: Stage) -> None:
    stage.golden(Golden(LYON), Golden(f"{LYON} Thanks."))
    draft = stage.draft("bad")
    found = stage.rehearsals.estimate(stage.noor, draft.id)
    assert (found.questions, found.calls, found.refused) == (2, 4, ())
    assert found.models == {"good": 2, "bad": 2}
    assert len(stage.server.timings) == 0
    row = stage.over(stage.rehearsals.start(stage.noor, draft.id))
    assert 0 < row.cost_usd < found.most_usd
    judged = stage.rehearsals.estimate(stage.noor, draft.id, "same")
    assert judged.calls == 8
    assert judged.most_usd > found.most_usd


def test_the_estimate_names_what_would_be_refused(stage: Stage) -> None:
    stage.golden(Golden(LYON))
    draft = stage.draft("bad")
    stage.house.services.catalogue.change(stage.noor, "bad", enabled=False)
    ((question, why),) = stage.rehearsals.estimate(stage.noor, draft.id).refused
    assert question == LYON
    assert "switched it off" in why
    stage.house.services.catalogue.change(stage.noor, "bad", enabled=True)


@pytest.mark.parametrize(
    ("judge", "favours", "told"),
    [
        ("first_wins", "neither", "order of the answers"),
        ("same", "neither", "no difference"),
        ("rambling", "", "rather not"),
    ],
)
def test_a_judge_is_asked_in_both_orders(stage: Stage, judge: str, favours: str, told: str) -> None:
    stage.golden()
    row = stage.rehearse("bad", judge=judge)
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    assert result.opinion is not None
    assert result.opinion.favours == favours
    assert told in result.opinion.says
    assert result.verdict == "worse"  # an opinion decides nothing
    sides = result.before.cost_usd + result.after.cost_usd
    assert row.cost_usd == pytest.approx(sides + result.opinion.cost_usd)
    assert result.opinion.cost_usd > 0
    prompts = [e["prompt"] for e in stage.house.events(result.id) if e["type"] == "model_called"]
    assert sorted(prompts) == ["grounded", "grounded", "judge", "judge"]


def test_a_judge_that_knows_finds_the_better_answer_in_either_order(stage: Stage) -> None:
    def verdict(call: ModelCall) -> list[str]:
        first = call.prompt.messages[-1].content.split('<answer n="second">')[0]
        return ["FIRST: it is sourced" if "180 euros" in first.split("answer n=")[1] else "SECOND"]

    wise = ScriptedModel("wise", answer=verdict)
    stage.house.services.catalogue.add(card("wise", DataClass.INTERNAL), wise, "wise")
    stage.golden(Golden(LYON))
    row = stage.rehearse("bad", judge="wise")
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    assert result.opinion is not None
    assert (result.opinion.favours, result.opinion.says) == ("before", "it is sourced")
    assert len(wise.calls) == 2


def test_a_judge_that_is_not_cleared_is_sent_nothing(stage: Stage) -> None:
    low = ScriptedModel("low", answer=lambda _: ["FIRST"])
    stage.house.services.catalogue.add(card("low", DataClass.PUBLIC), low, "low")
    stage.golden()
    row = stage.rehearse("bad", judge="low")
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    assert result.opinion is not None
    assert "not cleared" in result.opinion.error
    assert low.calls == []


def test_what_cannot_begin_is_refused_in_words(stage: Stage) -> None:
    draft = stage.draft("bad")
    with pytest.raises(InputError, match="golden set is empty"):
        stage.rehearsals.start(stage.noor, draft.id)
    stage.golden()
    with pytest.raises(NotFound):
        stage.rehearsals.start(stage.noor, draft.id, "no_such_model")
    with pytest.raises(InputError, match="cannot judge"):
        stage.rehearsals.start(stage.noor, draft.id, "reader")
    with pytest.raises(NotFound):
        stage.rehearsals.start(stage.noor, "no_such_version")
    stage.house.services.versions.discard(stage.noor, draft.id)
    with pytest.raises(InputError, match="Only a draft"):
        stage.rehearsals.start(stage.noor, draft.id)


def test_a_rehearsal_keeps_the_questions_as_they_were_and_goes_with_its_answers(
    stage: Stage,
) -> None:
    stage.golden()
    row = stage.rehearse("bad")
    (golden,) = stage.rehearsals.golden.of(TRAVEL)
    stage.rehearsals.golden.remove(stage.noor, golden.id)
    (result,) = stage.rehearsals.runs.results(stage.noor, row.id)
    assert result.golden.question == LYON
    stage.rehearsals.runs.remove(stage.noor, row.id)
    with pytest.raises(NotFound):
        stage.rehearsals.runs.get(row.id)
    with stage.house.services.database.read() as session:
        kept = session.execute(select(func.count()).select_from(RehearsalResultRow)).scalar_one()
    assert kept == 0
