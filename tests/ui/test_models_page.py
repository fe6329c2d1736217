"""The page on which admins add models, and decide about keys, limits, retirement and removal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.errors import ModelError
from app.llm.checks import ANSWERS, KNOWN, Check, Outcome
from app.routing import ModelCard
from app.routing.added import NewModel
from app.routing.cards import NEVER
from app.routing.swaps import Draft
from app.ui.widgets import model_add
from app.ui.widgets.page import asset
from app.ui.widgets.words import day, in_markdown
from tests.browser.desk import scripted_model
from tests.ui.conftest import Desk, OpenPage, html, press

KEY = "sk-newcomer-0001-abcd"


@pytest.fixture(autouse=True)
def clean(desk: Desk) -> Iterator[None]:
    yield
    for card in added(desk):
        desk.services.catalogue.remove_model(desk.people["Noor"], card.id)


def added(desk: Desk) -> list[ModelCard]:
    return [card for card in desk.services.catalogue.cards() if card.added]


def fill(
    test: AppTest,
    *,
    url: str,
    key: str = KEY,
    inside: bool = True,
    button: str = "Add and test",
    label: str = "Newcomer",
) -> AppTest:
    form = next(e for e in test.expander if e.label == "Add a model")
    form.selectbox[0].set_value("compatible")
    wanted = {"Model id": "newcomer", "What people see": label, "Address": url, "Key": key}
    for box in form.text_input:
        box.set_value(wanted[box.label])
    form.checkbox[0].set_value(inside)
    return press(test, button)


def more(test: AppTest, button: str) -> AppTest:
    """Presses a button of the newcomer's own form."""
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    return next(b for b in form.button if b.label == button).click().run()


def test_a_model_is_added_tested_kept_for_few_retired_and_removed(
    desk: Desk, open_page: OpenPage, tmp_path: Path
) -> None:
    with scripted_model(tmp_path, tokens=5, delay_ms=1, says={"newcomer": "ok"}) as url:
        test = fill(open_page("Noor", "admin_models"), url=url)
    page = html(test)
    assert all(box.value != KEY for box in test.text_input)
    assert "Newcomer" in page
    assert "…abcd" in page
    assert KEY not in page
    (card,) = added(desk)
    assert (card.enabled, card.base_url) == (True, url)
    test = open_page("Noor", "admin_models")
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    next(n for n in form.number_input if n.label == "Calls a minute").set_value(30)
    next(t for t in form.text_input if t.label == "Kept for").set_value("team:Sales, nonsense")
    assert "is neither a group nor a team" in html(more(test, "Save"))
    assert added(desk)[0].per_minute == 0
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    next(t for t in form.text_input if t.label == "Kept for").set_value("team:Sales")
    more(test, "Save")
    assert (added(desk)[0].per_minute, added(desk)[0].audience) == (30, ("team:Sales",))
    assert "retired" in html(more(open_page("Noor", "admin_models"), "Retire it"))
    assert not added(desk)[0].offered
    more(open_page("Noor", "admin_models"), "Bring it back")
    assert added(desk)[0].retired_on == NEVER > date.today()
    more(open_page("Noor", "admin_models"), "Remove")
    assert desk.services.catalogue.keyring.stored(card.account) == []
    more(open_page("Noor", "admin_models"), "Remove the model")
    assert added(desk) == []


def test_a_model_that_does_not_answer_is_added_switched_off(
    desk: Desk, open_page: OpenPage
) -> None:
    page = html(fill(open_page("Noor", "admin_models"), url="http://127.0.0.1:9/v1"))
    assert "Address reachable: failed.</b> Nobody listens at 127.0.0.1:9." in page
    assert "Answers: could not be told.</b> The address was not reached." in page
    assert "admin" not in "".join(re.findall(r'class="sb-note".*?</div></div>', page)).lower()
    assert "Left out where a budget applies" in page
    assert [card.enabled for card in added(desk)] == [False]


def test_a_model_is_tested_before_anything_is_stored(
    desk: Desk, open_page: OpenPage, tmp_path: Path
) -> None:
    with scripted_model(tmp_path, tokens=5, delay_ms=1, says={"newcomer": "ok"}) as url:
        test = fill(open_page("Noor", "admin_models"), url=url, button="Test only")
    page = html(test)
    for name in ("Address reachable", "Key accepted", "Model known", "Answers"):
        assert f"{name}: passed.</b>" in page
    assert f"What a test of newcomer at {in_markdown(url)} said:" in [c.value for c in test.caption]
    assert added(desk) == []
    account = f"compatible {url}"
    assert desk.services.catalogue.keyring.stored(account) == []
    assert next(box for box in test.text_input if box.label == "Model id").value == "newcomer"
    page = html(fill(open_page("Noor", "admin_models"), url="http://127.0.0.1:9/v1", key="a b"))
    assert "That does not look like a key." in page


@pytest.mark.usefixtures("desk")
def test_a_model_of_the_catalogue_is_tested(open_page: OpenPage, tmp_path: Path) -> None:
    with scripted_model(tmp_path, tokens=5, delay_ms=1, says={"newcomer": "one two three"}) as url:
        fill(open_page("Noor", "admin_models"), url=url)
        page = html(more(open_page("Noor", "admin_models"), "Test"))
    assert "Key accepted: passed.</b>" in page
    assert "Answers: passed.</b> First words after" in page
    test = more(open_page("Noor", "admin_models"), "Test")
    assert "Address reachable: failed.</b> Nobody listens at" in html(test)
    assert "It is tested as it was saved." not in html(test)
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    next(t for t in form.text_input if t.label == "Region").set_value("eu")
    assert "It is tested as it was saved." in html(more(test, "Test"))


def test_a_model_is_declared_free(desk: Desk, open_page: OpenPage) -> None:
    noor = desk.people["Noor"]
    desk.services.catalogue.add_model(noor, NewModel("openai", "newcomer", label="Newcomer"))
    test = open_page("Noor", "admin_models")
    assert "Left out where a budget applies" in html(test)
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    next(c for c in form.checkbox if c.label.startswith("Free")).set_value(True)
    page = html(more(test, "Save"))
    assert "Left out where a budget applies" not in page
    assert added(desk)[0].free
    assert desk.events("model_changed")[-1]["change"] == {"free": True}


def test_an_address_in_the_network_wants_the_tick_also_later(
    desk: Desk, open_page: OpenPage, tmp_path: Path
) -> None:
    with scripted_model(tmp_path, tokens=5, delay_ms=1, says={"newcomer": "ok"}) as url:
        test = open_page("Noor", "admin_models")
        page = html(fill(test, url=url, inside=False))
        assert "lies inside a private network" in page
        assert "tick “This address is in our own network”" in page
        assert added(desk) == []
        fill(open_page("Noor", "admin_models"), url=url)
        test = open_page("Noor", "admin_models")
        form = next(e for e in test.expander if e.label == "Change Newcomer")
        tick = next(c for c in form.checkbox if c.label == "This address is in our own network")
        assert tick.value is True
        tick.set_value(False)
        more(test, "Save")
        page = html(more(open_page("Noor", "admin_models"), "Test"))
    assert added(desk)[0].inside is False
    assert "Address reachable: failed.</b> 127.0.0.1 lies inside a private network." in page
    assert "Nothing was sent." in page


def test_what_cannot_be_used_is_said_and_nothing_is_added(desk: Desk, open_page: OpenPage) -> None:
    page = html(fill(open_page("Noor", "admin_models"), url="ftp://gpu-1"))
    assert "begin with http" in page
    page = html(fill(open_page("Noor", "admin_models"), url="http://127.0.0.1:9/v1", key="a b"))
    assert "That does not look like a key." in page
    assert added(desk) == []


def test_what_the_providers_cache_costs_is_shown(desk: Desk, open_page: OpenPage) -> None:
    desk.services.catalogue.add_model(desk.people["Noor"], NewModel("openai", "gpt-5-mini"))
    (card,) = added(desk)
    assert card.price_cached
    assert f"${card.price_cached:,.3f} read from its cache" in html(
        open_page("Noor", "admin_models")
    )


def test_a_models_recent_calls_are_told_in_words(
    desk: Desk, open_page: OpenPage, tmp_path: Path
) -> None:
    with scripted_model(tmp_path, tokens=5, delay_ms=1, says={"newcomer": "ok"}) as url:
        fill(open_page("Noor", "admin_models"), url=url)
    (card,) = added(desk)
    health = desk.services.catalogue.health

    def told() -> str:
        return re.sub("<[^>]+>", " ", html(open_page("Noor", "admin_models")))

    health.succeeded(card.id)
    before = health.of(card.id).calls
    words = "the last call" if before == 1 else f"the last {before} calls"
    assert f"No failure in {words}." in told()
    health.failed(card.id, ModelError("It is away."))
    assert f"1 failure in the last {before + 1} calls." in told()


def test_a_long_name_fits_the_form_and_the_table(desk: Desk, open_page: OpenPage) -> None:
    noor, label = desk.people["Noor"], "x" * 60
    desk.services.catalogue.add_model(noor, NewModel("openai", "newcomer", label=label))
    test = open_page("Noor", "admin_models")
    form = next(e for e in test.expander if e.label == "Add a model")
    assert next(t for t in form.text_input if t.label == "What people see").proto.max_chars == 60
    assert '<div class="sb-table sb-models"><table>' in html(test)
    assert re.search(
        r"\.sb-models td:first-child \{[^}]*overflow-wrap: anywhere", asset("switchboard.css")
    )


def test_a_model_is_renamed_and_employees_read_its_new_name(
    desk: Desk, open_page: OpenPage
) -> None:
    noor = desk.people["Noor"]
    desk.services.catalogue.add_model(noor, NewModel("openai", "newcomer", "Newcomer", free=True))

    def rename(name: str) -> AppTest:
        test = open_page("Noor", "admin_models")
        form = next(e for e in test.expander if e.label == "Change Newcomer")
        next(t for t in form.text_input if t.label == "What people see").set_value(name)
        return more(test, "Save")

    assert "there is a model called “Scripted model (local, for tests)”" in html(
        rename("scripted model (LOCAL, for tests)")
    )
    assert "a model needs a name" in html(rename(""))
    assert [card.label for card in added(desk)] == ["Newcomer"]
    test = rename("Old hand")
    assert "Change Old hand" in [e.label for e in test.expander]
    options = " ".join(open_page("Ada", "chat").selectbox(key="model").options)
    assert "Old hand" in options
    assert "Newcomer" not in options


def test_employees_see_no_address_of_a_server(desk: Desk, open_page: OpenPage) -> None:
    catalogue, noor = desk.services.catalogue, desk.people["Noor"]
    for new in (
        NewModel("compatible", "a", "Ours", "http://127.0.0.1:8598/v1", inside=True, free=True),
        NewModel("compatible", "b", "Theirs", "https://93.184.215.14:8443/v1", free=True),
        NewModel("openai", "c", "Known"),
    ):
        catalogue.add_model(noor, new)
    options = " ".join(open_page("Ada", "chat").selectbox(key="model").options)
    assert "Ours · Runs on your company's own server." in options
    assert "Theirs · Runs at an outside provider." in options
    assert "Known · Runs at OpenAI." in options
    assert not re.search(r"127\.0|93\.184|8598|8443", options)
    (theirs,) = (card for card in added(desk) if card.label == "Theirs")
    catalogue.change(noor, theirs.id, region="eu-central-1")
    options = " ".join(open_page("Ada", "chat").selectbox(key="model").options)
    assert "Theirs · Runs in eu-central-1." in options


def test_a_models_name_is_only_words(open_page: OpenPage) -> None:
    label = "**New** [er](https://evil.test)"
    test = fill(open_page("Noor", "admin_models"), url="http://127.0.0.1:9/v1", label=label)
    plain = in_markdown(label)
    assert plain in [e.label.removeprefix("Change ") for e in test.expander]
    assert test.toast[0].value.startswith(plain)


def test_a_planned_retirement_is_shown_and_cancelled(desk: Desk, open_page: OpenPage) -> None:
    noor, on = desk.people["Noor"], date.today() + timedelta(days=40)
    id = desk.services.catalogue.add_model(noor, NewModel("openai", "n", "Newcomer", free=True))
    assert "retires" not in html(open_page("Noor", "admin_models"))
    desk.services.catalogue.change(noor, id, retired_on=on)
    test = open_page("Noor", "admin_models")
    assert f"not asked yet, retires {day(on)}</span>" in html(test)
    assert f"It retires on {day(on)}." in html(test)
    test = more(test, "Cancel its retirement")
    assert "retires" not in html(test)
    assert added(desk)[0].retired_on == NEVER
    desk.services.catalogue.change(noor, id, retired_on=on, enabled=False)
    assert f"off, retires {day(on)}" in html(open_page("Noor", "admin_models"))


def test_what_to_do_about_a_model_that_does_not_answer_fits_the_cause(open_page: OpenPage) -> None:
    (toast,) = fill(open_page("Noor", "admin_models"), url="http://127.0.0.1:9/v1").toast
    assert "Its address was not reached: test again below" in toast.value.replace("\\", "")
    assert "key" not in toast.value
    untold = Check(ANSWERS, Outcome.UNTOLD, "")
    for name, says in (
        ("Key …abcd accepted", "give it another one below and test again"),
        (KNOWN, "There is no model of that id"),
        (ANSWERS, "Test it again below"),
    ):
        assert says in model_add._next((Check(name, Outcome.FAILED, ""), untold))


def test_a_price_below_a_cent_does_not_read_as_nothing(desk: Desk, open_page: OpenPage) -> None:
    noor = desk.people["Noor"]
    new = NewModel("openai", "n", "Newcomer", price_in=0.0004, price_out=0.0025)
    desk.services.catalogue.add_model(noor, new)
    test = open_page("Noor", "admin_models")
    assert "$0.0004 / $0.0025" in html(test)
    prices = [n for n in test.number_input if n.label.startswith("US dollars per million")]
    assert {n.proto.format for n in prices} == {"%g"}
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    next(n for n in form.number_input if n.label.endswith("tokens in")).set_value(0.0003)
    more(test, "Save")
    assert (added(desk)[0].price_in, added(desk)[0].price_out) == (0.0003, 0.0025)


def test_prices_and_limits_are_saved_together(desk: Desk, open_page: OpenPage) -> None:
    noor = desk.people["Noor"]
    desk.services.catalogue.add_model(noor, NewModel("openai", "n", "Newcomer", price_in=1.0))
    test = open_page("Noor", "admin_models")
    form = next(e for e in test.expander if e.label == "Change Newcomer")
    assert [b.label for b in form.button if b.label.startswith("Save")] == ["Save"]
    next(n for n in form.number_input if n.label.endswith("tokens in")).set_value(3.0)
    next(n for n in form.number_input if n.label == "Calls at once").set_value(2)
    more(test, "Save")
    assert desk.events("model_changed")[-1]["change"] == {"price_in": 3.0, "at_once": 2}


def test_a_model_kept_for_nobody_known_is_saved_and_said(desk: Desk, open_page: OpenPage) -> None:
    noor = desk.people["Noor"]
    desk.services.catalogue.add_model(noor, NewModel("openai", "n", "Newcomer", free=True))
    nobody = "Nobody known is in team:Nowhere, group:idp/nowhere."
    for kept, said in (
        ("team:Sales, team:Nowhere, group:idp/sales, group:idp/nowhere", True),
        ("team:Sales, group:idp/sales", False),
    ):
        test = open_page("Noor", "admin_models")
        form = next(e for e in test.expander if e.label == "Change Newcomer")
        next(t for t in form.text_input if t.label == "Kept for").set_value(kept)
        test = more(test, "Save")
        assert added(desk)[0].audience == tuple(kept.split(", "))
        assert (nobody in html(test)) == said
        assert (nobody in test.toast[0].value.replace("\\", "")) == said


def test_who_removes_a_model_reads_which_routes_name_it(desk: Desk, open_page: OpenPage) -> None:
    services, noor = desk.services, desk.people["Noor"]
    one = NewModel("compatible", "named", base_url="http://127.0.0.1:1/v1", inside=True)
    model = services.catalogue.add_model(noor, one)

    def words() -> str:
        page = open_page("Noor", "admin_models")
        return " ".join(m.value for m in page.markdown).replace("\\", "")

    assert "named by" not in words()
    row = services.versions.draft(noor, "it_help", Draft((model,), "grounded"))
    assert "Now it is named by: IT help (draft)." in words()
    services.versions.publish(noor, row.id)
    assert "Now it is named by: IT help." in words()
    services.versions.roll_back(noor.id, row.id, "The test is over.")
    assert "named by" not in words()
