"""Swapping a route: drafted, looked at without calling a model, tried by some people, published, and taken back."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import Person, Role, now
from app.errors import InputError, ModelUnavailable, NotFound
from app.routing.swaps import Draft, Margins, compare, dry_run
from app.routing.swaps.comparison import Side, judge
from app.routing.swaps.dry_run import REFUSED, World
from app.routing.swaps.laid_over import in_canary
from app.ui.widgets.route_html import comparison_html
from tests.chat.house import House, house

LYON = "What is the hotel limit in Lyon?"
TRAVEL = "travel_expenses"
FIRST, SECOND = Draft(("first",), "grounded"), Draft(("second", "first"), "grounded@v1", 0.0, 200)


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("swaps")) as built:
        yield built


@pytest.fixture
def noor(desk: House) -> Person:
    return desk.person("noor", role=Role.ADMIN)


def world(desk: House) -> World:
    services = desk.services
    return World(
        services.database,
        services.table,
        services.versions,
        services.catalogue,
        services.policy,
        services.identity.accounts.person,
    )


def answered(desk: House, person: Person) -> tuple[str, int, str]:
    """Model, version and arm of one question."""
    receipt = desk.ask(person, LYON).receipt
    assert receipt is not None
    assert receipt.route is not None
    return receipt.model, receipt.route.version, receipt.route.arm


def test_a_published_version_answers_everybody_and_a_roll_back_restores_what_was(
    desk: House, noor: Person
) -> None:
    versions, ada = desk.services.versions, desk.person("ada")
    assert answered(desk, ada) == ("first", 0, "")
    draft = versions.draft(noor, TRAVEL, SECOND)
    assert answered(desk, ada) == ("first", 0, "")  # a draft changes nothing
    versions.publish(noor, draft.id)
    assert answered(desk, ada) == ("second", 1, "")
    call = desk.second.calls[-1]
    assert (call.temperature, call.max_tokens) == (0.0, 200)
    second = versions.draft(noor, TRAVEL, FIRST)
    versions.publish(noor, second.id)
    assert answered(desk, ada) == ("first", 2, "")
    versions.roll_back(noor.id, second.id, "By hand.")
    assert answered(desk, ada) == ("second", 1, "")
    versions.roll_back(noor.id, draft.id, "By hand.")
    assert answered(desk, ada) == ("first", 0, "")
    steps = [e["change"] for v in (draft, second) for e in desk.events(v.id)]
    assert steps == ["drafted", "published", "rolled_back"] * 2


def test_a_canary_is_for_the_same_people_at_every_question(desk: House, noor: Person) -> None:
    versions = desk.services.versions
    draft = versions.draft(noor, TRAVEL, SECOND)
    versions.start_canary(noor, draft.id, 0.5)
    people = [desk.person(f"person{number}") for number in range(8)]
    for person in people:
        inside = in_canary(person.id, draft.id, 0.5)
        expected = ("second", 1, "canary") if inside else ("first", 0, "baseline")
        assert [answered(desk, person) for _ in range(2)] == [expected, expected]
    versions.stop_canary(noor, draft.id)
    assert {answered(desk, person) for person in people} == {("first", 0, "")}


def test_shares_hold_and_two_canaries_do_not_choose_the_same_people() -> None:
    people = [f"person_{number}" for number in range(4000)]
    first = {p for p in people if in_canary(p, "route_a", 0.2)}
    second = {p for p in people if in_canary(p, "route_b", 0.2)}
    assert 0.17 < len(first) / 4000 < 0.23
    assert 0.1 < len(first & second) / len(first) < 0.3


def test_a_dry_run_tells_what_would_move_and_cost_and_calls_no_model(
    desk: House, noor: Person
) -> None:
    services, ada = desk.services, desk.person("ada")
    for _ in range(3):
        desk.ask(ada, LYON)
    desk.ask(desk.person("hal", "hr"), "What may a hotel cost per night in Paris?")
    calls = len(desk.first.calls) + len(desk.second.calls)
    services.catalogue.change(noor, "second", price_in=10.0, price_out=20.0)
    found = dry_run(world(desk), services.versions.draft(noor, TRAVEL, SECOND))
    assert (found.questions, found.differ) == (4, 4)
    assert [(m.before, m.after, m.questions) for m in found.moves] == [("first", "second", 4)]
    assert found.cost_after == pytest.approx(10 * found.cost_before)
    assert found.refused_after == 0
    services.catalogue.change(noor, "first", enabled=False)
    services.catalogue.change(noor, "second", enabled=False)
    refused = dry_run(world(desk), services.versions.draft(noor, TRAVEL, SECOND))
    assert refused.refused_after == 4
    assert all(move.after == REFUSED for move in refused.moves)
    assert any("switched it off" in reason for _, reason, _ in refused.left_out)
    assert len(desk.first.calls) + len(desk.second.calls) == calls


def test_a_dry_run_looks_at_the_last_week_and_this_intent_only(desk: House, noor: Person) -> None:
    desk.ask(desk.person("ada"), LYON)
    desk.ask(desk.person("ada"), "My laptop does not start")
    draft = desk.services.versions.draft(noor, TRAVEL, SECOND)
    assert dry_run(world(desk), draft).questions == 1
    later = World(
        **{
            **{name: getattr(world(desk), name) for name in World.__slots__},
            "clock": lambda: now() + timedelta(days=8),
        }
    )
    assert dry_run(later, draft).questions == 0


def test_a_canary_whose_model_fails_rolls_back_by_itself(desk: House, noor: Person) -> None:
    """The fallback hides every failure from the people, and the circuit breaker keeps the model from being asked: both count."""
    services, versions = desk.services, desk.services.versions
    for _ in range(12):  # what was before fills up the other side
        desk.ask(desk.person("ada"), LYON)
    draft = versions.draft(noor, TRAVEL, SECOND)
    versions.start_canary(noor, draft.id, 0.999)
    services.canary_watch.margins = Margins(samples=12)
    ben = desk.person("ben")
    assert in_canary(ben.id, draft.id, 0.999)
    for _ in range(12):
        assert answered(desk, ben)[:2] == ("second", 1)
    assert services.canary_watch.check() == []
    desk.second._faults.extend(ModelUnavailable("It is down.") for _ in range(50))
    asked = 0
    while not services.canary_watch.check():
        assert answered(desk, ben)[0] == "first"
        asked += 1
        assert asked < 40
    row = versions.get(draft.id)
    assert row.status == "rolled_back"
    assert "failed or needed a fallback" in row.note
    assert answered(desk, ben) == ("first", 0, "")
    assert desk.events(draft.id)[-1]["actor"] == "system"
    assert compare(services.database, row).canary.failed == asked


def test_a_canary_that_leaves_no_model_to_ask_rolls_back_too(desk: House, noor: Person) -> None:
    """Once the breaker is open nobody is asked any more: each of those refusals is the version's doing, and counts."""
    services, versions = desk.services, desk.services.versions
    for _ in range(12):
        desk.ask(desk.person("ada"), LYON)
    draft = versions.draft(noor, TRAVEL, replace(SECOND, models=("second",)))
    versions.start_canary(noor, draft.id, 0.999)
    services.canary_watch.margins = Margins(samples=12)
    ben = desk.person("ben")
    assert in_canary(ben.id, draft.id, 0.999)
    desk.second._faults.extend(ModelUnavailable("It is down.") for _ in range(50))
    desk.second.calls.clear()
    asked = 0
    while not services.canary_watch.check():
        assert desk.ask(ben, LYON).status == "failed"
        asked += 1
        assert asked < 40
    assert versions.get(draft.id).status == "rolled_back"
    assert compare(services.database, versions.get(draft.id)).canary.failed == asked
    assert len(desk.second.calls) < asked


def test_turns_that_say_nothing_about_a_version_are_on_neither_side(
    desk: House, noor: Person
) -> None:
    """Before the canary and while it runs: a model picked by hand, a budget without room. A model's failure stays one."""
    services, versions, ada = desk.services, desk.services.versions, desk.person("ada")
    services.catalogue.change(noor, "reader", enabled=False)  # it is free, so no budget stops it

    def ask_all_kinds() -> None:
        assert desk.ask(ada, LYON, model_wish="auto").status == "finished"
        desk.ask(ada, LYON, model_wish="second")
        budget = services.budgets.book.allot(noor, "company", "", "day", 0.000001)
        assert desk.ask(ada, LYON).status == "failed"
        services.budgets.book.remove(noor, budget.id)
        for model in (desk.first, desk.second):
            model._faults.append(ModelUnavailable("It is down."))
        assert desk.ask(ada, LYON).status == "failed"
        for name in ("first", "second"):
            services.catalogue.health.succeeded(name)

    ask_all_kinds()
    draft = versions.draft(noor, TRAVEL, SECOND)
    versions.start_canary(noor, draft.id, 0.999)
    assert in_canary(ada.id, draft.id, 0.999)
    ask_all_kinds()
    found = compare(services.database, versions.get(draft.id))
    for side in (found.canary, found.baseline):
        assert (side.turns, side.answered, side.failed) == (2, 1, 1)
        assert side.cost_usd > 0
    page = comparison_html(
        replace(found, canary=Side(turns=4, answered=2, failed=2, cost_usd=3.0)), Margins()
    )
    assert "$1.50" in page


def test_the_watch_works_by_itself(desk: House, noor: Person) -> None:
    services, versions = desk.services, desk.services.versions
    for _ in range(3):
        desk.ask(desk.person("ada"), LYON)
    draft = versions.draft(noor, TRAVEL, SECOND)
    versions.start_canary(noor, draft.id, 0.999)
    services.canary_watch.margins = Margins(failures=-0.9, samples=1)
    desk.ask(desk.person("ben"), LYON)
    services.canary_watch.start(0.05)
    try:
        end = time.monotonic() + 90
        while versions.get(draft.id).status == "canary":
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        services.canary_watch.stop()
    assert versions.get(draft.id).status == "rolled_back"


def test_equal_sides_are_seldom_taken_for_different_and_bad_ones_are_caught() -> None:
    chance = random.Random(5)

    def side(share: float, turns: int, slow: float = 1.0) -> Side:
        failed = sum(chance.random() < share for _ in range(turns))
        times = tuple(chance.lognormvariate(6, 0.5) * slow for _ in range(turns))
        return Side(turns=turns, failed=failed, first_words_ms=times)

    margins = Margins()
    alarms = sum(bool(judge(side(0.05, 60), side(0.05, 200), margins).reasons) for _ in range(1000))
    assert alarms <= 10
    caught = sum(bool(judge(side(0.4, 60), side(0.05, 200), margins).reasons) for _ in range(200))
    assert caught >= 190
    slow = [judge(side(0.0, 60, 3.0), side(0.0, 200), margins) for _ in range(50)]
    assert all("first words" in found.reasons[0] for found in slow)
    few = judge(side(1.0, 10), side(0.0, 200), margins)
    assert (few.enough, few.reasons) == (False, ())


def test_thumbs_count_where_there_are_enough() -> None:
    down = Side(turns=50, thumbs=30, thumbs_down=25)
    up = Side(turns=50, thumbs=30, thumbs_down=3)
    assert "thumbs point down" in judge(down, up, Margins()).reasons[0]
    assert judge(Side(turns=50, thumbs=5, thumbs_down=5), up, Margins()).reasons == ()


@pytest.mark.parametrize(
    "draft",
    [
        Draft((), "grounded"),
        Draft(("nowhere",), "grounded"),
        Draft(("first",), "no_such_prompt"),
        Draft(("first",), "grounded@v99"),
        Draft(("first",), "grounded", 3.0),
        Draft(("first",), "grounded", 0.2, 5),
        Draft(("first",), "grounded", worth_usd=0.0),
        Draft(("first",), "grounded", worth_usd=1_001.0),
    ],
)
def test_a_draft_that_cannot_work_is_refused(desk: House, noor: Person, draft: Draft) -> None:
    with pytest.raises(InputError) as error:
        desk.services.versions.draft(noor, TRAVEL, draft)
    assert error.value.fix


def test_steps_out_of_order_are_refused_in_words(desk: House, noor: Person) -> None:
    versions = desk.services.versions
    with pytest.raises(NotFound):
        versions.draft(noor, "no_such_intent", FIRST)
    draft = versions.draft(noor, TRAVEL, FIRST)
    assert versions.draft(noor, TRAVEL, SECOND).id == draft.id  # the same draft, changed
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(InputError):
            versions.start_canary(noor, draft.id, share)
    with pytest.raises(InputError):
        versions.roll_back(noor.id, draft.id, "")
    versions.start_canary(noor, draft.id, 0.1)
    with pytest.raises(InputError, match="canary"):
        versions.draft(noor, TRAVEL, FIRST)
    with pytest.raises(InputError):
        versions.discard(noor, draft.id)
    versions.publish(noor, draft.id)
    with pytest.raises(InputError, match="published now"):
        versions.publish(noor, draft.id)
    other = versions.draft(noor, TRAVEL, FIRST)
    assert other.number == 2
    versions.discard(noor, other.id)
    assert versions.open_version(TRAVEL) is None
    assert [row.number for row in versions.history(TRAVEL)] == [2, 1]
