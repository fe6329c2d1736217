"""A draft that weighs score and cost: kept, published and rolled back as any change, learned for beforehand, and dry-run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.db.tables import ConversationRow, RouteVersionRow, TurnRow
from app.domain import Person, Role
from app.routing import RouteEntry, in_context
from app.routing.difficulty.expectation import Expectation
from app.routing.swaps import Draft, dry_run, spread
from app.routing.swaps.dry_run import World
from app.routing.table import Tradeoff
from tests.chat.house import House, house

TRAVEL = "travel_expenses"
LYON = "What is the hotel limit in Lyon?"
HARD = "Compare the hotel limits of all cities and derive which trip is the cheapest."
BOTH = ("first", "second")
WEIGHED = Draft(BOTH, "grounded", worth_usd=0.05)
PLAIN = Draft(BOTH, "grounded")


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """`first` is dear and always good, `second` is cheap and good with short questions."""
    with house(tmp_path_factory.mktemp("weighed")) as built:
        noor = built.person("noor", role=Role.ADMIN)
        built.services.catalogue.change(noor, "first", price_in=10.0, price_out=30.0)
        yield built


@pytest.fixture
def noor(desk: House) -> Person:
    return desk.person("noor", role=Role.ADMIN)


def judged(desk: House, per_model: int = 60) -> None:
    """Outcomes as turns leave them."""
    ada = desk.person("ada")
    towns = [f"{letter}town" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    with desk.services.database.write() as session:
        chat = ConversationRow(person_id=ada.id)
        session.add(chat)
        session.flush()
        for number in range(per_model):
            town, hard = towns[number % 26], number % 2 == 1
            text = (
                f"What is the hotel limit in {town}?" if not hard else f"{HARD} Begin with {town}."
            )
            for model in BOTH:
                session.add(
                    TurnRow(
                        conversation_id=chat.id, person_id=ada.id, position=2 * number, question=text,
                        model=model, intent=TRAVEL, status="finished",
                        feedback=int(model == "first" or not hard),
                        receipt={"usage": {"prompt_tokens": 500, "completion_tokens": 100}},
                    )
                )  # fmt: skip


def world(desk: House) -> World:
    services = desk.services

    def expected(entry: RouteEntry, text: str, before: str) -> Expectation | None:
        (vector,) = services.intents.vectors([in_context(text, before)])
        return services.difficulty.expect(entry, text, vector)

    return World(
        services.database,
        services.table,
        services.versions,
        services.catalogue,
        services.policy,
        services.identity.accounts.person,
        expected=expected,
    )


def planned(desk: House, version: RouteVersionRow) -> RouteEntry:
    services = desk.services
    return services.versions.with_version(services.table, version).entry(TRAVEL)


def asked(desk: House, question: str) -> tuple[str, str]:
    """Who answers, and why."""
    receipt = desk.ask(desk.person("ada"), question).receipt
    assert receipt is not None
    assert receipt.route is not None
    return receipt.model, receipt.route.reason


def test_weighing_is_drafted_dry_run_published_and_rolled_back(desk: House, noor: Person) -> None:
    services = desk.services
    judged(desk)
    versions, difficulty = services.versions, services.difficulty
    versions.publish(noor, versions.draft(noor, TRAVEL, PLAIN).id)
    assert asked(desk, LYON)[0] == "first"
    draft = versions.draft(noor, TRAVEL, WEIGHED)
    # The desk's own look learns for a draft, which changes nothing for anybody.
    assert difficulty.check() == [TRAVEL]
    assert difficulty.state(planned(desk, draft)).outcomes == {"first": 60, "second": 60}
    assert asked(desk, LYON)[0] == "first"

    found = dry_run(world(desk), draft)
    assert [(m.before, m.after) for m in found.moves] == [("first", "second")]
    assert 0 < found.differ < found.questions
    assert found.cost_after < found.cost_before
    assert dict(found.sent) == {"first": found.same, "second": found.differ}
    shown = spread(world(desk), draft)
    assert shown.questions == 100
    assert {model for model, _ in shown.models} == set(BOTH)
    assert spread(world(desk), versions.in_use(TRAVEL), 10).models == (("first", 10),)

    versions.publish(noor, draft.id)
    model, why = asked(desk, LYON)
    assert (model, "an easy question" in why) == ("second", True)
    assert asked(desk, HARD)[0] == "first"
    assert versions.entry(TRAVEL).difficulty == Tradeoff(worth_usd=0.05)
    assert desk.events(draft.id)[0]["values"]["worth_usd"] == 0.05
    versions.roll_back(noor.id, draft.id, "By hand.")
    assert asked(desk, LYON)[0] == "first"
    assert versions.entry(TRAVEL).difficulty is None


def test_a_good_answer_that_is_worth_more_sends_more_to_the_better_model(
    desk: House, noor: Person
) -> None:
    judged(desk)
    shares = []
    for worth in (0.0001, 0.05, 100.0):
        draft = desk.services.versions.draft(noor, TRAVEL, Draft(BOTH, "grounded", worth_usd=worth))
        desk.services.difficulty.learn(planned(desk, draft))
        shares.append(dict(spread(world(desk), draft).models).get("first", 0))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[2] > 0


def test_a_canary_weighs_for_its_people_only(desk: House, noor: Person) -> None:
    versions = desk.services.versions
    draft = versions.draft(noor, TRAVEL, WEIGHED)
    versions.start_canary(noor, draft.id, 0.5)
    people = [desk.person(f"p{number}") for number in range(12)]
    entries = [versions.table(person).entry(TRAVEL) for person in people]
    assert {(e.arm, e.difficulty is not None) for e in entries} == {
        ("canary", True),
        ("baseline", False),
    }
    assert versions.foreseen().entry(TRAVEL).difficulty is not None
    versions.stop_canary(noor, draft.id)
    versions.discard(noor, draft.id)
    assert versions.foreseen().entry(TRAVEL).difficulty is None


def test_too_few_outcomes_change_nothing_and_are_counted(desk: House, noor: Person) -> None:
    judged(desk, per_model=12)
    versions, difficulty = desk.services.versions, desk.services.difficulty
    draft = versions.draft(noor, TRAVEL, WEIGHED)
    assert difficulty.check() == []
    state = difficulty.state(planned(desk, draft))
    assert (state.version, state.outcomes) == (0, {"first": 12, "second": 12})
    assert "Not enough outcomes yet" in state.why_off
    assert dry_run(world(desk), draft).differ == dry_run(world(desk), _stored(desk, PLAIN)).differ


def _stored(desk: House, draft: Draft) -> RouteVersionRow:
    noor = desk.person("noor", role=Role.ADMIN)
    return desk.services.versions.draft(noor, TRAVEL, draft)


def test_a_version_of_before_leaves_it_to_the_file(desk: House, noor: Person) -> None:
    """Older versions are stored as the list of models alone."""
    versions = desk.services.versions
    draft = versions.draft(noor, TRAVEL, PLAIN)
    with desk.services.database.write() as session:
        row = session.get_one(RouteVersionRow, draft.id)
        row.content = list(BOTH)
        session.add(row)
    old = versions.get(draft.id)
    assert (old.models, old.weighs, old.worth_usd) == (list(BOTH), False, None)
    base = desk.services.table
    weighed = [
        e.model_copy(update={"difficulty": Tradeoff(worth_usd=2.0, least=30)}) for e in base.entries
    ]
    file = type(base)(tuple(weighed), base.threshold)
    assert versions.with_version(file, old).entry(TRAVEL).difficulty == Tradeoff(
        worth_usd=2.0, least=30
    )
    new = versions.draft(noor, TRAVEL, WEIGHED)
    assert versions.with_version(file, new).entry(TRAVEL).difficulty == Tradeoff(
        worth_usd=0.05, least=30
    )
    off = versions.draft(noor, TRAVEL, PLAIN)
    assert versions.with_version(file, off).entry(TRAVEL).difficulty is None


def test_what_is_drafted_is_learned_soon_and_not_in_a_quarter_of_an_hour(
    desk: House, noor: Person
) -> None:
    judged(desk)
    services = desk.services
    services.difficulty.start(every_s=3600)
    draft = services.versions.draft(noor, TRAVEL, WEIGHED)
    services.difficulty.soon()
    try:
        until = time.monotonic() + 60
        while services.difficulty.state(planned(desk, draft)).version == 0:
            assert time.monotonic() < until
    finally:
        services.difficulty.stop()
