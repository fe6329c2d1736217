"""The catalogue: what is configured, what an admin changed, what a call costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.db import Database
from app.domain import DataClass, Role, Usage
from app.errors import ConfigurationError, InputError, ModelUnavailable, NotFound
from app.llm.scripted import ScriptedModel
from app.records import Ledger
from app.routing import Catalogue
from app.routing.added import NewModel
from app.routing.cards import SMOLLM2_LABEL
from app.routing.keys import PooledModel
from app.routing.prices import list_price
from app.settings import Settings
from tests.conftest import MakePerson
from tests.routing.conftest import card


def keyed(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        openai_api_key="sk-1",
        anthropic_api_key="sk-2",
        compatible_base_url="http://127.0.0.1:9/v1",
        compatible_models="llama, qwen",
    )


def test_without_keys_there_are_the_local_models(
    settings: Settings, database: Database, ledger: Ledger
) -> None:
    cards = Catalogue(settings, database, ledger).cards()
    assert [c.id for c in cards] == ["reader", "smollm2"]
    assert all(c.local and c.clearance == DataClass.RESTRICTED for c in cards)
    assert cards[1].label == SMOLLM2_LABEL
    assert not cards[1].grounded


def test_the_local_model_can_be_switched_off(database: Database, ledger: Ledger) -> None:
    catalogue = Catalogue(Settings(local_model=False), database, ledger)
    assert catalogue.find("smollm2") is None
    assert "SWITCHBOARD_LOCAL_MODEL" in catalogue.missing("smollm2")[1]


def test_keys_add_models_with_list_prices_and_a_cautious_clearance(
    tmp_path: Path, database: Database, ledger: Ledger
) -> None:
    catalogue = Catalogue(keyed(tmp_path), database, ledger)
    ids = [c.id for c in catalogue.cards()]
    assert ids[:4] == [
        "openai/gpt-5-mini",
        "anthropic/claude-sonnet-4-5",
        "compatible/llama",
        "compatible/qwen",
    ]
    openai = catalogue.card("openai/gpt-5-mini")
    assert 0 < openai.price_in < openai.price_out
    assert openai.context_tokens > 100_000
    assert openai.clearance == DataClass.INTERNAL
    assert catalogue.card("compatible/qwen").clearance == DataClass.CONFIDENTIAL
    assert [c.id for c in catalogue.expand("compatible")] == ["compatible/llama", "compatible/qwen"]
    assert [c.id for c in catalogue.expand("compatible/qwen")] == ["compatible/qwen"]
    assert catalogue.expand("nowhere") == []


def test_an_impossible_clearance_is_a_configuration_error(
    tmp_path: Path, database: Database, ledger: Ledger
) -> None:
    wrong = keyed(tmp_path).model_copy(update={"compatible_clearance": "secret"})
    with pytest.raises(ConfigurationError, match="COMPATIBLE_CLEARANCE"):
        Catalogue(wrong, database, ledger)


async def test_adapters_are_made_once_and_closed(
    tmp_path: Path, database: Database, ledger: Ledger
) -> None:
    catalogue = Catalogue(keyed(tmp_path), database, ledger)
    catalogue.warm()
    model = catalogue.model("compatible/llama")
    assert isinstance(model.inner, PooledModel)
    assert catalogue.model("compatible/llama") is model
    await catalogue.close()


def test_an_admins_change_is_kept_recorded_and_seen_by_others(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    admin = make_person("Root", role=Role.ADMIN)
    catalogue = Catalogue(settings, database, ledger)
    changed = catalogue.change(
        admin, "smollm2", enabled=False, clearance=DataClass.PUBLIC, price_in=0.5
    )
    assert (changed.enabled, changed.clearance, changed.price_in) == (False, DataClass.PUBLIC, 0.5)
    again = Catalogue(settings, database, ledger).card("smollm2")
    assert again == changed
    assert catalogue.change(admin, "smollm2", enabled=True).clearance == DataClass.PUBLIC
    assert '"change":{"clearance":0,"enabled":false,"price_in":0.5}' in "".join(_bodies(database))
    assert ledger.verify().broken is None


def _bodies(database: Database) -> list[str]:
    with database.read() as session:
        return [row[0] for row in session.connection().exec_driver_sql("SELECT body FROM event")]


def test_a_model_is_renamed_for_everybody_and_keeps_its_id(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    admin = make_person("Root", role=Role.ADMIN)
    catalogue = Catalogue(settings, database, ledger)
    assert catalogue.change(admin, "smollm2", label="  The  small one ").label == "The small one"
    again = Catalogue(settings, database, ledger)
    assert again.card("smollm2").label == "The small one"
    assert again.model("smollm2").label == "The small one"
    assert '"change":{"label":"The small one"}' in "".join(_bodies(database))
    assert catalogue.change(admin, "smollm2", label="The Small One").label == "The Small One"


def test_a_name_is_one_models_only_also_when_another_process_gave_it_just_now(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    admin, new = make_person("Root", role=Role.ADMIN), NewModel("openai", "one", "Quick")
    here, there = (Catalogue(settings, database, ledger) for _ in range(2))
    assert len(here.cards()) == len(there.cards())  # both have read
    here.add_model(admin, new)
    for refused in (
        lambda: there.add_model(admin, NewModel("openai", "two", "quick")),
        lambda: there.change(admin, "smollm2", label="QUICK"),
    ):
        with pytest.raises(InputError, match="a model called “Quick” already"):
            refused()
    there.change(admin, "smollm2", label="Slow")
    with pytest.raises(InputError, match="a model called “Slow” already"):
        here.change(admin, "openai/one", label="Slow")
    with pytest.raises(InputError, match="at most 60 characters; this has 61"):
        here.change(admin, "smollm2", label="x" * 61)
    with pytest.raises(InputError, match="needs a name"):
        here.change(admin, "smollm2", label=" ")


@pytest.mark.parametrize("price", [-1.0, 1e9, float("nan")])
def test_a_slip_of_the_keyboard_is_no_price(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson, price: float
) -> None:
    with pytest.raises(InputError):
        Catalogue(settings, database, ledger).change(make_person("Root"), "reader", price_in=price)


def test_a_model_that_is_not_there_is_not_found(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    catalogue = Catalogue(settings, database, ledger)
    with pytest.raises(NotFound):
        catalogue.card("gone")
    with pytest.raises(NotFound):
        catalogue.change(make_person("Root"), "gone", enabled=True)
    assert catalogue.cost("gone", Usage(1000, 1000)) == 0.0


def test_cost_is_tokens_times_price(settings: Settings, database: Database, ledger: Ledger) -> None:
    catalogue = Catalogue(settings, database, ledger)
    catalogue.add(card("paid", price_in=2.0, price_out=10.0), ScriptedModel("paid"), "paid")
    assert catalogue.cost("paid", Usage(1_000_000, 500_000)) == 7.0


def test_what_the_providers_cache_holds_costs_what_the_cache_costs(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    catalogue = Catalogue(settings, database, ledger)
    paid = card("paid", price_in=2.0, price_out=10.0, price_cached=0.2, price_cache_write=2.5)
    catalogue.add(paid, ScriptedModel("paid"), "paid")
    used = Usage(1_000_000, 0, cached_tokens=500_000, cache_write_tokens=100_000)
    assert catalogue.cost("paid", used) == 0.4 * 2 + 0.5 * 0.2 + 0.1 * 2.5
    catalogue.change(make_person("Root"), "paid", price_in=1.0)  # half the list price: a discount
    assert catalogue.cost("paid", used) == pytest.approx((0.8 + 0.1 + 0.25) / 2)


def test_list_prices_know_what_caches_cost() -> None:
    claude, gpt = list_price("claude-sonnet-4-5", "anthropic"), list_price("gpt-5-mini", "openai")
    assert (claude.price_in, claude.price_cached, claude.price_cache_write) == (3.0, 0.3, 3.75)
    assert (gpt.price_in, gpt.price_cached, gpt.price_cache_write) == (0.25, 0.025, None)


async def test_a_check_is_a_call_and_counts(
    settings: Settings, database: Database, ledger: Ledger
) -> None:
    catalogue = Catalogue(settings, database, ledger)
    catalogue.add(card("fine"), ScriptedModel("fine"), "fine")
    catalogue.add(card("down"), ScriptedModel("down", faults=[ModelUnavailable("Down.")]), "down")
    await catalogue.check("fine")
    assert catalogue.health.of("fine").state == "healthy"
    with pytest.raises(ModelUnavailable):
        await catalogue.check("down")


def test_a_price_is_known_if_listed_set_or_declared_free_and_of_local_models(
    tmp_path: Path, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    root = make_person("Root", role=Role.ADMIN)
    catalogue = Catalogue(keyed(tmp_path), database, ledger)

    def known(model_id: str) -> bool:
        return catalogue.card(model_id).price_known

    assert known("reader")
    assert known("openai/gpt-5-mini")
    assert not known("compatible/llama")
    catalogue.change(root, "compatible/llama", price_out=0.2)
    assert known("compatible/llama")
    catalogue.change(root, "compatible/qwen", free=True)
    assert known("compatible/qwen")
    catalogue.change(root, "compatible/qwen", free=False)
    assert not known("compatible/qwen")
    listed = catalogue.add_model(root, NewModel("anthropic", "claude-sonnet-4-5"))
    unheard = catalogue.add_model(root, NewModel("openai", "our-own-1"))
    free = catalogue.add_model(root, NewModel("openai", "our-own-2", free=True))
    off = catalogue.add_model(root, NewModel("openai", "our-own-3", enabled=False))
    assert [known(one) for one in (listed, unheard, free, off)] == [True, False, True, False]
    assert [catalogue.card(one).enabled for one in (unheard, free, off)] == [True, True, False]


def test_what_is_free_costs_nothing_until_it_is_not(
    settings: Settings, database: Database, ledger: Ledger, make_person: MakePerson
) -> None:
    root = make_person("Root", role=Role.ADMIN)
    catalogue = Catalogue(settings, database, ledger)
    paid = card("paid", price_in=2.0, price_out=10.0, price_cached=0.2)
    catalogue.add(paid, ScriptedModel("paid"), "paid")
    used = Usage(1_000_000, 500_000, cached_tokens=500_000)
    catalogue.change(root, "paid", price_in=4.0, free=True)
    assert catalogue.cost("paid", used) == 0.0
    catalogue.change(root, "paid", free=False)
    assert catalogue.cost("paid", used) == pytest.approx(0.5 * 4 + 0.5 * 0.4 + 5.0)
