"""Models that admins add, their sealed keys, pools of keys against real servers, limits, audiences and retirement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlmodel import select

from app.access.policy import Policy
from app.db import Database
from app.db.tables import ProviderKeyRow
from app.domain import DataClass, Person, now
from app.errors import (
    InputError,
    ModelBusy,
    ModelCredential,
    ModelRateLimited,
    ModelRequestError,
    NotFound,
)
from app.llm.checks import Outcome
from app.records import Ledger
from app.routing import Catalogue, choose
from app.routing.added import AddedModels, NewModel
from app.routing.cards import NEVER
from app.routing.keys import ASIDE_S, Key, KeyPool, PooledModel
from app.routing.limits import MINUTE_S, Limits
from app.settings import Settings
from tests.conftest import MakePerson
from tests.llm.conftest import answer, call
from tests.routing.conftest import MakeCatalogue, Rules, card, intent, table
from tests.servers.model_server import PIECES, ModelServer, model_server

GOOD, OTHER, REVOKED = "sk-good-0001-aaaa", "sk-other-0002-bbbb", "sk-revoked-0003-cccc"
WIRES = ["openai", "anthropic", "compatible"]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest.fixture
def root(make_person: MakePerson) -> Person:
    return make_person("Root")


@pytest.fixture
def models(settings: Settings, database: Database, ledger: Ledger) -> Catalogue:
    return Catalogue(settings, database, ledger)


def new(server: ModelServer, wire: str, name: str = "ok") -> NewModel:
    url = server.url if wire == "anthropic" else server.openai_url
    return NewModel(wire, name, base_url=url, inside=True)  # type: ignore[arg-type]


def by_key(server: ModelServer, **faults: str) -> None:
    """What the server does with each key; others are answered."""
    server.behaves_with = lambda body, key: faults.get(key[-4:], str(body["model"]))


@pytest.mark.parametrize("wire", WIRES)
async def test_an_added_model_answers_at_once_here_and_elsewhere(
    wire: str, server: ModelServer, models: Catalogue, root: Person, settings: Settings,
    database: Database, ledger: Ledger,
) -> None:  # fmt: skip
    elsewhere = Catalogue(settings, database, ledger)
    model_id = models.add_model(root, new(server, wire), GOOD)
    for catalogue in (models, elsewhere):
        text, _ = await answer(catalogue.model(model_id))
        assert text == "".join(PIECES)
        await catalogue.close()
    assert server.keys_seen == [GOOD, GOOD]
    assert models.card(model_id).added
    assert model_id in [found.id for found in models.expand(wire)]


def test_a_key_is_nowhere_but_sealed(
    models: Catalogue, root: Person, database: Database, ledger: Ledger
) -> None:
    models.add_model(root, NewModel("openai", "gpt-5-mini"), GOOD)
    with database.read() as session:
        (row,) = session.execute(select(ProviderKeyRow)).scalars().all()
        assert GOOD.encode() not in row.sealed
        assert row.ending == GOOD[-4:]
    assert GOOD not in "".join(ledger.export())
    (key,) = models.keyring.keys("openai")
    assert key.secret == GOOD
    assert GOOD not in repr(key)


def test_a_key_that_no_longer_opens_is_left_out_and_the_others_stay(
    models: Catalogue, root: Person, database: Database
) -> None:
    first, second = (models.add_key(root, "openai", key) for key in (GOOD, OTHER))
    with database.write() as session:
        rows = {row.id: row for row in session.execute(select(ProviderKeyRow)).scalars()}
        rows[first].sealed = rows[second].sealed
        session.add(rows[first])
    assert [key.secret for key in models.keyring.keys("openai")] == [OTHER]


@pytest.mark.parametrize("wire", WIRES)
async def test_a_refused_key_is_set_aside_and_the_next_one_answers(
    wire: str, server: ModelServer, models: Catalogue, root: Person
) -> None:
    model_id = models.add_model(root, new(server, wire), REVOKED)
    account = models.card(model_id).account
    models.add_key(root, account, GOOD)
    by_key(server, cccc="bad_key")
    for _ in range(3):
        text, _ = await answer(models.model(model_id))
        assert text == "".join(PIECES)
    assert server.keys_seen == [REVOKED, GOOD, GOOD, GOOD]
    states = [models.pool.health(key.id).state for key in models.keyring.keys(account)]
    assert states == ["set aside", "ready"]
    await models.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_key_over_its_limit_rests_as_long_as_it_was_told(
    wire: str, server: ModelServer, models: Catalogue, root: Person
) -> None:
    clock = [0.0]
    models.pool = KeyPool(lambda: clock[0])
    model_id = models.add_model(root, new(server, wire), REVOKED)
    models.add_key(root, models.card(model_id).account, GOOD)
    by_key(server, cccc="limited")
    await answer(models.model(model_id))
    first, _ = models.keyring.keys(models.card(model_id).account)
    assert models.pool.health(first.id).wait_s == 7.0
    await answer(models.model(model_id))
    assert server.keys_seen == [REVOKED, GOOD, GOOD]
    clock[0] = 7.5
    by_key(server)
    assert models.pool.health(first.id).state == "ready"
    by_key(server, aaaa="limited", cccc="limited")
    with pytest.raises(ModelRateLimited):
        await answer(models.model(model_id))
    with pytest.raises(ModelRateLimited) as caught:
        await answer(models.model(model_id))
    assert caught.value.foreseen
    assert caught.value.retry_after == pytest.approx(7.0)
    await models.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_test_names_each_key_that_works_and_each_that_does_not(
    wire: str, server: ModelServer, models: Catalogue, root: Person
) -> None:
    model_id = models.add_model(root, new(server, wire), REVOKED)
    account = models.card(model_id).account
    models.add_key(root, account, GOOD)
    by_key(server, cccc="bad_key")
    checks = {check.name: check.outcome for check in await models.examine(model_id)}
    assert checks == {
        "Address reachable": Outcome.PASSED,
        "Key …cccc accepted": Outcome.FAILED,
        "Key …aaaa accepted": Outcome.PASSED,
        "Model known": Outcome.PASSED,
        "Answers": Outcome.PASSED,
    }
    states = [models.pool.health(key.id).state for key in models.keyring.keys(account)]
    assert states == ["set aside", "ready"]
    assert models.health.of(model_id).state == "healthy"
    await models.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_form_is_tested_with_its_key_or_those_of_its_account_and_nothing_is_kept(
    wire: str, server: ModelServer, models: Catalogue, root: Person
) -> None:
    await models.try_out(new(server, wire), GOOD)
    assert server.keys_seen == [GOOD]
    assert [card.id for card in models.cards() if card.added] == []
    added = models.add_model(root, new(server, wire), OTHER)
    checks = await models.try_out(new(server, wire))
    assert server.keys_seen == [GOOD, OTHER]
    assert all(check.passed for check in checks)
    assert len(models.keyring.stored(models.card(added).account)) == 1
    with pytest.raises(InputError):
        await models.try_out(NewModel("compatible", "x", base_url="ftp://gpu-1"), GOOD)
    await server.hung_up()


async def test_all_keys_refused_is_the_keys_fault_and_a_test_call_tries_them_again(
    server: ModelServer, models: Catalogue, root: Person
) -> None:
    model_id = models.add_model(root, new(server, "openai"), REVOKED)
    by_key(server, cccc="bad_key")
    for _ in range(2):
        with pytest.raises(ModelCredential):
            await answer(models.model(model_id))
    assert len(server.requests) == 1
    by_key(server)
    await models.check(model_id)
    text, _ = await answer(models.model(model_id))
    assert text == "".join(PIECES)
    await models.close()


async def test_a_replaced_key_is_used_from_the_next_call_on(
    server: ModelServer, models: Catalogue, root: Person
) -> None:
    model_id = models.add_model(root, new(server, "openai"), OTHER)
    await answer(models.model(model_id))
    account = models.card(model_id).account
    (stored,) = models.keyring.stored(account)
    models.remove_key(root, stored.id)
    models.add_key(root, account, GOOD)
    await answer(models.model(model_id))
    assert server.keys_seen == [OTHER, GOOD]
    with pytest.raises(NotFound):
        models.remove_key(root, stored.id)
    await models.close()


def test_the_least_busy_key_is_taken() -> None:
    pool = KeyPool()
    taken = [pool.take(["a", "b", "c"]) for _ in range(4)]
    assert taken == ["a", "b", "c", "a"]
    pool.give_back("b")
    assert pool.take(["a", "b", "c"]) == "b"


def test_a_refused_key_is_tried_again_later() -> None:
    clock = [0.0]
    pool = KeyPool(lambda: clock[0])
    pool.failed("a", ModelCredential("No."))
    assert pool.take(["a"]) is None
    clock[0] = ASIDE_S + 1
    assert pool.take(["a"]) == "a"


async def test_a_pool_of_one_says_what_its_model_says(server: ModelServer) -> None:
    from app.llm.openai import OpenAIModel

    model = OpenAIModel("m", "M", model_name="limited", api_key="k", base_url=server.openai_url)
    pooled = PooledModel({"k": model}, KeyPool())
    with pytest.raises(ModelRateLimited) as caught:
        await answer(pooled)
    assert not caught.value.foreseen
    await pooled.close()


# Addresses


@pytest.mark.parametrize(
    ("url", "inside", "told"),
    [
        ("ftp://models.example/v1", False, "http://"),
        ("http://", False, "http://"),
        ("https://user:secret@models.example", False, "before the @"),
        ("https://models.example/v1?key=1", False, "after ?"),
        ("http://10.1.2.3/v1", False, "private network"),
        ("http://127.0.0.1/v1", False, "private network"),
        ("http://169.254.169.254/v1", True, "no model answers"),
        ("http://0177.0.0.1/v1", True, "cannot be"),
        ("http://gpu-1:99999/v1", True, "cannot be"),
        ("http://[::1/v1", True, "cannot be"),
        ("http://nowhere.invalid/v1", True, "cannot be resolved"),
    ],
)
def test_an_address_that_cannot_be_is_told_with_the_way_out(
    url: str, inside: bool, told: str, models: Catalogue, root: Person
) -> None:
    before = len(models.cards())
    with pytest.raises(InputError, match="Address") as caught:
        models.add_model(root, NewModel("compatible", "m", base_url=url, inside=inside), GOOD)
    assert told in f"{caught.value.message} {caught.value.fix}"
    assert "secret" not in caught.value.message
    assert len(models.cards()) == before


@pytest.mark.parametrize("wire", WIRES)
async def test_the_tick_is_asked_at_each_connection_and_recorded(
    wire: str, server: ModelServer, models: Catalogue, root: Person, ledger: Ledger
) -> None:
    model_id = models.add_model(root, new(server, wire), GOOD)
    assert models.card(model_id).inside
    models.change(root, model_id, inside=False)
    with pytest.raises(ModelRequestError, match="address is not permitted"):
        await answer(models.model(model_id))
    (address, *_) = await models.examine(model_id)
    assert (address.outcome, server.connections_made) == (Outcome.FAILED, 0)
    assert "This address is in our own network" in address.fix
    models.change(root, model_id, inside=True)
    assert (await answer(models.model(model_id)))[0] == "".join(PIECES)
    log = "".join(ledger.export())
    assert '"change": {"inside": false}' in log or '"inside":false' in log
    await models.close()


async def test_an_address_of_the_settings_needs_no_tick(
    server: ModelServer, settings: Settings, database: Database, ledger: Ledger
) -> None:
    given = {"compatible_base_url": server.openai_url, "compatible_models": ("ok",)}
    catalogue = Catalogue(settings.model_copy(update=given), database, ledger)
    assert (await answer(catalogue.model("compatible/ok")))[0] == "".join(PIECES)
    await catalogue.close()


def test_one_private_address_among_several_spoils_the_name(
    database: Database, ledger: Ledger, root: Person
) -> None:
    added = AddedModels(database, ledger, lambda _host: ["93.184.215.14", "10.0.0.5"])
    wanted = NewModel("compatible", "m", base_url="https://models.example/v1")
    with pytest.raises(InputError, match="private network"):
        added.add(root, wanted, {})


@pytest.mark.parametrize("name", ["", "a b", "x" * 130, "-m", "m\n"])
def test_a_model_id_that_cannot_be_is_told(name: str, models: Catalogue, root: Person) -> None:
    if name == "m\n":
        assert models.add_model(root, NewModel("openai", name)) == "openai/m"
        return
    with pytest.raises(InputError, match="Model id"):
        models.add_model(root, NewModel("openai", name))


def test_what_people_see_is_short_and_no_other_models(models: Catalogue, root: Person) -> None:
    models.add_model(root, NewModel("openai", "m", "Assist"))
    with pytest.raises(InputError, match="there is a model called “Assist” already"):
        models.add_model(root, NewModel("openai", "other", " ASSIST "))
    with pytest.raises(InputError, match="there is a model called “Assist” already"):
        models.add_model(root, NewModel("openai", "assist"))
    with pytest.raises(InputError, match="at most 60 characters; this has 61"):
        models.add_model(root, NewModel("openai", "other", "x" * 61))
    other = models.add_model(root, NewModel("openai", "other", "x" * 30 + "\n" + "y" * 29))
    assert models.card(other).label == "x" * 30 + " " + "y" * 29


@pytest.mark.parametrize("price", [-1.0, 10_001.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["price_in", "price_out"])
def test_a_price_that_cannot_be_is_told_when_a_model_is_added_and_when_it_is_changed(
    name: str, price: float, models: Catalogue, root: Person
) -> None:
    asked: dict[str, Any] = {name: price}
    words = "A price is between 0 and 10,000 dollars per million tokens."
    with pytest.raises(InputError, match=words):
        models.add_model(root, replace(NewModel("openai", "m"), **asked))
    assert models.find("openai/m") is None
    models.add_model(root, NewModel("openai", "m", price_in=10_000.0))
    with pytest.raises(InputError, match=words):
        models.change(root, "openai/m", **asked)


def test_a_key_that_cannot_be_leaves_no_model_behind(models: Catalogue, root: Person) -> None:
    before = [found.id for found in models.cards()]
    with pytest.raises(InputError, match="look like a key"):
        models.add_model(root, NewModel("openai", "gpt-5-mini"), "two words")
    assert [found.id for found in models.cards()] == before


def test_two_servers_may_serve_the_same_name_and_removal_takes_the_keys_along(
    models: Catalogue, root: Person
) -> None:
    at = [
        NewModel("compatible", "m", f"M{p}", base_url=f"http://127.0.0.1:{p}/v1", inside=True)
        for p in (1, 2)
    ]
    first, second = (models.add_model(root, one, GOOD) for one in at)
    assert (first, second) == ("compatible/m", "compatible/m-2")
    account = models.card(first).account
    assert account != models.card(second).account
    models.remove_model(root, first)
    assert models.keyring.stored(account) == []
    assert models.keyring.stored(models.card(second).account)
    with pytest.raises(NotFound):
        models.card(first)
    with pytest.raises(NotFound, match="was not added here"):
        models.remove_model(root, "reader")


def test_a_model_of_a_removed_ones_id_does_not_inherit_its_failures(
    models: Catalogue, root: Person
) -> None:
    first = NewModel("compatible", "m", base_url="http://127.0.0.1:1/v1", inside=True)
    for again in (first, replace(first, base_url="http://127.0.0.1:2/v1")):
        id = models.add_model(root, again, GOOD)
        assert (id, models.health.of(id).state) == ("compatible/m", "unknown")
        models.health.failed(id, ModelCredential("The key is not accepted."))
        assert models.health.objection(id)
        models.change(root, id, enabled=True)
        assert models.health.objection(id)  # the same model: what is known of it stays
        models.remove_model(root, id)
    assert models.health.of("compatible/m").state == "unknown"


# What an admin says about a model


def reasons(models: Catalogue, person: Person, policy: Any = None) -> dict[str, str]:
    route = choose(
        table(("one", "two")), intent(), person, DataClass.INTERNAL, None, models,
        policy or Rules(), needs_passages=False,
    )  # fmt: skip
    return {decision.model: decision.reason for decision in route.decisions}


def test_a_retired_model_is_left_out_from_its_date_and_can_be_restored(
    catalogue: MakeCatalogue, root: Person
) -> None:
    models = catalogue(card("one"), card("two"))
    models.change(root, "one", retired_on=now().date() + timedelta(days=1))
    assert "retired" not in reasons(models, root)["one"]
    models.change(root, "one", retired_on=date(2026, 1, 31))
    assert reasons(models, root)["one"] == "it was retired on 31 January 2026"
    assert not models.card("one").offered
    models.change(root, "one", retired_on=NEVER)
    assert models.card("one").offered
    assert "retired" not in reasons(models, root)["one"]


def test_a_model_kept_for_some_is_left_out_for_others(
    catalogue: MakeCatalogue, make_person: MakePerson, root: Person
) -> None:
    models = catalogue(card("one"), card("two"))
    inside, outside = make_person("In", groups=("lab",)), make_person("Out", team="Finance")
    models.change(root, "one", audience=["group:idp/lab", "team:Sales"])
    policy = Policy()
    assert "keeps this model for some" in reasons(models, outside, policy)["one"]
    assert "keeps" not in reasons(models, inside, policy)["one"]
    assert "keeps" not in reasons(models, make_person("Sal"), policy)["one"]  # of the team Sales
    models.change(root, "one", audience=[])
    assert "keeps" not in reasons(models, outside, policy)["one"]
    with pytest.raises(InputError, match="neither a group nor a team"):
        models.change(root, "one", audience=["lab"])


def test_a_model_at_its_limit_is_left_out_and_free_again(
    catalogue: MakeCatalogue, root: Person
) -> None:
    clock = [0.0]
    models = catalogue(card("one"), card("two"))
    models.limits = Limits(lambda: clock[0])
    models.change(root, "one", at_once=1, per_minute=2)
    with models.limits.call(models.card("one")):
        assert "as many as an admin allows at once" in reasons(models, root)["one"]
        with pytest.raises(ModelBusy), models.limits.call(models.card("one")):
            pass
    with models.limits.call(models.card("one")):
        pass
    assert "2 calls of this minute" in reasons(models, root)["one"]
    clock[0] = MINUTE_S
    assert "minute" not in reasons(models, root)["one"]
    with pytest.raises(InputError, match="limit"):
        models.change(root, "one", per_minute=-1)


async def test_a_call_counts_while_it_runs_and_a_closed_one_no_longer(
    catalogue: MakeCatalogue, root: Person
) -> None:
    models = catalogue(card("one"))
    models.change(root, "one", at_once=1)
    running = models.model("one").stream(call())
    await anext(running)
    with pytest.raises(ModelBusy):
        await answer(models.model("one"))
    await running.aclose()
    await answer(models.model("one"))


def test_a_key_shows_its_ending_only() -> None:
    assert GOOD not in repr(Key("k", GOOD, GOOD[-4:]))


def test_an_account_has_a_key_once(
    models: Catalogue, root: Person, settings: Settings, database: Database, ledger: Ledger
) -> None:
    models.add_model(root, NewModel("openai", "m"), GOOD)
    with pytest.raises(InputError, match="The key …aaaa is there already"):
        models.add_key(root, "openai", f" {GOOD} ")
    models.add_model(root, NewModel("openai", "other"), GOOD)  # the same account, so the same key
    models.add_key(root, "openai", OTHER)
    models.add_key(root, "anthropic", GOOD)
    assert [key.ending for key in models.keyring.stored("openai")] == ["aaaa", "bbbb"]
    given = Catalogue(
        settings.model_copy(update={"openai_api_key": SecretStr(REVOKED)}), database, ledger
    )
    with pytest.raises(InputError, match="The key …cccc is there already"):
        given.add_key(root, "openai", REVOKED)
