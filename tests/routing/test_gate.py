"""Nothing above a model's clearance leaves, whoever calls and whatever changed since the route was chosen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from app.access.sensitive import Handling, Screen
from app.domain import (
    AccessBasis,
    ChatMessage,
    DataClass,
    Exchange,
    Masked,
    ModelCall,
    Passage,
    Person,
    Prompt,
    Question,
)
from app.errors import ModelUnavailable, NoModel, NotCleared
from app.llm.scripted import ScriptedModel
from app.outgoing import Writer
from app.prompts import PromptLibrary
from app.routing import Choosing, Gate, Matter, fit
from app.routing.relay import Patience, relay
from tests.conftest import MakePerson
from tests.routing.conftest import MakeCatalogue, Rules, card, intent, table

PUBLIC, INTERNAL, CONFIDENTIAL, RESTRICTED = DataClass
AT = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = st.sampled_from(list(DataClass))
WORDS = {
    "What is the hotel limit?": (INTERNAL, INTERNAL),
    "Write to anna@example.com": (CONFIDENTIAL, INTERNAL),
    "Is DE89 3704 0044 0532 0130 00 right?": (RESTRICTED, INTERNAL),
    "The password is Wren!42x": (RESTRICTED, RESTRICTED),
    "password: Wren!42x for anna@example.com": (RESTRICTED, RESTRICTED),
}
VALUES = ("anna@example.com", "DE89 3704 0044 0532 0130 00", "Wren!42x")


@pytest.fixture
def person(make_person: MakePerson) -> Person:
    return make_person("Ada")


def passage(number: int, data_class: DataClass, text: str = "Trains first.") -> Passage:
    return Passage(
        f"c{number}", f"d{number}", "folder", f"Title {number}", "", text, "", "Company",
        data_class, 1.0, AccessBasis("everyone", AT), AT,
    )  # fmt: skip


def call(data_class: DataClass, *passages: Passage, masked: Masked | None = None) -> ModelCall:
    prompt = Prompt((ChatMessage("user", "typed"),), "p", "v1", "")
    return ModelCall(prompt, "typed", passages, data_class=data_class, masked=masked)


async def sent(gate: Gate, model: ScriptedModel, what: ModelCall) -> list[ModelCall]:
    async for _ in gate.stream(what):
        continue
    return model.calls


async def test_words_or_a_passage_above_the_clearance_are_not_sent() -> None:
    model = ScriptedModel()
    gate = Gate(model, lambda: INTERNAL)
    for what in (call(CONFIDENTIAL), call(INTERNAL, passage(1, INTERNAL), passage(2, RESTRICTED))):
        with pytest.raises(NotCleared, match="not cleared"):
            await sent(gate, model, what)
    assert model.calls == []
    assert await sent(gate, model, call(INTERNAL, passage(1, INTERNAL)))


async def test_a_call_that_names_no_class_counts_as_restricted() -> None:
    model = ScriptedModel()
    what = ModelCall(Prompt((ChatMessage("user", "hello"),), "p", "v1", ""), "hello")
    with pytest.raises(NotCleared):
        await sent(Gate(model, lambda: CONFIDENTIAL), model, what)
    assert await sent(Gate(model, lambda: RESTRICTED), model, what)


async def test_the_masked_form_goes_to_whom_the_typed_one_may_not() -> None:
    masked = Masked(Prompt((ChatMessage("user", "masked"),), "p", "v1", ""), "masked", INTERNAL, {})
    what = call(CONFIDENTIAL, masked=masked)
    low, high = ScriptedModel(), ScriptedModel()
    assert (await sent(Gate(low, lambda: INTERNAL), low, what))[0].question == "masked"
    assert (await sent(Gate(high, lambda: RESTRICTED), high, what))[0].question == "typed"
    with pytest.raises(NotCleared):
        await sent(Gate(ScriptedModel(), lambda: PUBLIC), low, what)


async def test_a_clearance_that_was_lowered_since_counts(
    catalogue: MakeCatalogue, make_person: MakePerson
) -> None:
    models = catalogue(card("one", CONFIDENTIAL))
    gate = models.model("one")
    assert gate.admitted(call(CONFIDENTIAL))
    models.change(make_person("Root"), "one", clearance=PUBLIC)
    with pytest.raises(NotCleared):
        gate.admitted(call(CONFIDENTIAL))


def test_a_refused_call_is_no_sign_of_bad_health(catalogue: MakeCatalogue) -> None:
    models = catalogue(card("one"))
    for _ in range(5):
        models.health.failed("one", NotCleared("One is not cleared."))
    assert models.health.objection("one") == ""


@with_settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_no_call_carries_a_question_or_passage_above_its_models_clearance(
    catalogue: MakeCatalogue, person: Person, data: st.DataObject
) -> None:
    """Random catalogues, policies, conversations and passages, with models that fail so that every fallback is tried."""
    clearances = data.draw(st.lists(CLASSES, min_size=1, max_size=4))
    sizes = [data.draw(st.sampled_from([1_500, 2_500, 50_000])) for _ in clearances]
    models = catalogue(
        *(card(f"m{n}", c, context_tokens=sizes[n]) for n, c in enumerate(clearances))
    )
    scripted = [models.model(f"m{n}").inner for n in range(len(clearances))]
    assert all(isinstance(model, ScriptedModel) for model in scripted)
    for model in scripted[:-1]:
        if data.draw(st.booleans()):
            model._faults.append(ModelUnavailable("down"))  # type: ignore[attr-defined]
    text = data.draw(st.sampled_from(list(WORDS)))
    history = tuple(
        Exchange(data.draw(st.sampled_from(list(WORDS))), "Yes.", data.draw(CLASSES))
        for _ in range(data.draw(st.integers(0, 3)))
    )
    passages = tuple(
        passage(n, data.draw(CLASSES), "word " * data.draw(st.sampled_from([5, 900])))
        for n in range(data.draw(st.integers(0, 4)))
    )
    forbidden = data.draw(st.sets(st.sampled_from(["m0", "m1"])))
    routes = table(tuple(f"m{n}" for n in range(len(clearances))))
    above = data.draw(st.sampled_from(["drop", "refuse"]))
    question = Question("t", "c", person, text, history)
    screening = Screen().look(text, history, [p.text for p in passages])
    writer = Writer(PromptLibrary(), question, screening)
    choosing = Choosing(
        routes, intent(), person, data.draw(st.sampled_from([None, "m0", "m1"])), models,
        Rules(forbidden), bool(passages),
    )  # fmt: skip
    try:
        fitted = fit(writer.matter(passages), choosing, writer.counter("grounded"), above)
    except NoModel:
        fitted = None
    if fitted is not None:
        what = writer.call(fitted.route, fitted.matter)
        if data.draw(st.booleans()):  # an admin lowers a clearance in between
            models.change(person, "m0", clearance=PUBLIC)
            clearances[0] = PUBLIC
        try:
            answer = relay(fitted.route, what, models, [], Patience(5.0, 5.0))
            async for _ in answer:
                continue
        except NoModel:
            pass
        if above == "refuse":
            assert not fitted.dropped
            assert not fitted.forgotten
    for number, model in enumerate(scripted):
        for carried in model.calls:  # type: ignore[attr-defined]
            check(carried, clearances[number], text, history)
            assert f"m{number}" not in forbidden


def check(
    carried: ModelCall, clearance: DataClass, text: str, history: tuple[Exchange, ...]
) -> None:
    """By what was really sent, not by what the call says of itself."""
    assert all(p.data_class <= clearance for p in carried.passages)
    said = "\n".join(message.content for message in carried.prompt.messages)
    for value in VALUES:
        least = min(
            (classes[0] for words, classes in WORDS.items() if value in words), default=PUBLIC
        )
        assert value not in said + carried.question or least <= clearance
    typed, masked = WORDS[text]
    assert (typed if carried.question == text else masked) <= clearance
    for message in carried.prompt.messages:
        same = [past for past in history if past.question == message.content]
        assert not same or min(past.data_class for past in same) <= clearance


def test_passages_are_dropped_to_the_best_allowed_class_or_the_turn_is_refused(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue(card("one", INTERNAL), card("two", CONFIDENTIAL))
    choosing = Choosing(table(("one", "two")), intent(), person, None, models, Rules(), True)
    found = tuple(passage(n, c) for n, c in enumerate((INTERNAL, RESTRICTED, CONFIDENTIAL)))
    fitted = fit(Matter(INTERNAL, found), choosing, lambda _: 10, "drop")
    assert fitted.route.model == "two"
    assert [p.data_class for p in fitted.matter.passages] == [INTERNAL, CONFIDENTIAL]
    assert dict(fitted.dropped) == {"restricted": 1}
    assert "cleared for restricted data" in fitted.reason
    with pytest.raises(NoModel, match="Nothing was sent: what was found") as refused:
        fit(Matter(INTERNAL, found), choosing, lambda _: 10, "refuse")
    assert set(refused.value.reasons) == {"one", "two"}


def test_a_question_that_no_model_may_read_is_refused_in_plain_words(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue(card("one", CONFIDENTIAL))
    choosing = Choosing(table(("one",)), intent(), person, None, models, Rules(), False)
    with pytest.raises(NoModel, match="the password in it counts as restricted") as refused:
        fit(Matter(RESTRICTED), choosing, lambda _: 10, "drop", "the password in it")
    assert "Take it out" in refused.value.fix


def test_a_prompt_that_is_too_long_loses_its_last_passages_before_anybody_is_refused(
    catalogue: MakeCatalogue, person: Person
) -> None:
    models = catalogue(card("small", context_tokens=2_000), card("large", context_tokens=3_000))
    choosing = Choosing(table(("small", "large")), intent(), person, None, models, Rules(), True)
    found = tuple(passage(n, INTERNAL) for n in range(5))
    matter = Matter(INTERNAL, found, (0, 1), (INTERNAL, INTERNAL))

    def tokens(part: Matter) -> int:
        return 300 + 700 * len(part.passages) + 50 * len(part.history)

    fitted = fit(matter, choosing, tokens, "drop")
    assert fitted.route.model == "large"
    assert fitted.matter.passages == found[:2]
    assert (fitted.trimmed, fitted.forgotten, dict(fitted.dropped)) == (3, 0, {})
    with pytest.raises(NoModel, match="longer than"):
        fit(matter, choosing, lambda _: 9_000, "drop")


def test_the_reviewed_policy_drops() -> None:
    assert Handling.load().above_clearance == "drop"
