"""Nobody gets by API what the page would not show them: not by asking, searching, listing or reading receipts."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.budgets import Estimate, Spender
from app.knowledge.sync import first_syncs
from tests.api.conftest import FOLDERS, PEOPLE, House

MAY_READ = {
    "ann": {"Travel policy", "Escalation list"},
    "ben": {"Travel policy"},
    "hana": {"Travel policy", "Salary bands"},
    "ada": {"Travel policy"},
}
SECRETS = {"Escalation list": "Zirkon", "Salary bands": "zeta", "Board minutes": "Quasar"}
QUESTIONS = [
    "What is on the escalation list about Zirkon?",
    "What does band zeta pay in the salary bands?",
    "What did the board discuss about the merger with Quasar?",
    "How do I book a trip at the travel desk?",
]


@pytest.mark.parametrize("name", sorted(PEOPLE))
@pytest.mark.parametrize("question", QUESTIONS)
def test_search_finds_what_the_page_would_and_nothing_else(
    house: House, name: str, question: str
) -> None:
    services = house.services
    with house.http(name) as http:
        got = http.get("/v1/search", params={"q": question, "limit": 20})
    assert got.status_code == 200
    page = services.search.search(
        question, services.embedder.query(question), house.people[name], 20
    )
    assert [(p["document_id"], p["text"]) for p in got.json()["data"]] == [
        (p.document_id, p.text) for p in page.passages
    ]
    assert {p["title"] for p in got.json()["data"]} <= MAY_READ[name]
    for passage in got.json()["data"]:
        assert passage["permission"]["principal"] in house.people[name].principals


@pytest.mark.parametrize("name", sorted(PEOPLE))
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_chat_never_holds_what_its_owner_may_not_read(
    house: House, name: str, question: str
) -> None:
    """The reader quotes whatever passages it is given, so a leak would be in the answer."""
    with house.http(name) as http:
        got = http.post(
            "/v1/chat/completions",
            json={"model": "reader", "messages": [{"role": "user", "content": question}]},
        )
        receipt = http.get(f"/v1/receipts/{got.headers['switchboard-receipt']}")
    answer = got.json()["choices"][0]["message"]["content"] if got.status_code == 200 else ""
    for title in set(SECRETS) - MAY_READ[name]:
        assert title not in got.text + receipt.text
        assert SECRETS[title] not in answer.replace(question, "")
    assert "withheld" not in got.json()


def test_each_search_is_on_record_with_its_permissions(house: House) -> None:
    with house.http("ann") as http:
        got = http.get("/v1/search", params={"q": QUESTIONS[0]}).json()
    event = house.events("search_done")[-1]
    assert (event["actor"], event["subject"]) == (house.people["ann"].id, got["id"])
    assert event["documents"] == {
        p["document_id"]: p["permission"]["principal"] for p in got["data"]
    }


def test_a_source_that_is_read_for_the_first_time_is_told_without_its_name(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_syncs, "LOOKED_EVERY_S", 0.0)
    sync, body = house.services.sync, {"messages": [{"role": "user", "content": QUESTIONS[0]}]}

    def told() -> list[bool]:
        with house.http("ann") as http:
            found = http.get("/v1/search", params={"q": QUESTIONS[0]})
            asked = http.post("/v1/chat/completions", json=body)
            receipt = http.get(f"/v1/receipts/{asked.headers['switchboard-receipt']}")
        assert "Secret shelf" not in found.text + asked.text + receipt.text
        return [found.json()["first_sync"], receipt.json()["first_sync"]]

    assert told() == [False, False]
    shelf = sync.add(None, "folder", "Secret shelf", {"path": str(tmp_path)})
    try:
        assert told() == [True, True]
    finally:
        sync.remove(None, shelf)
    assert told() == [False, False]


@pytest.mark.parametrize(
    "params",
    [{}, {"q": " "}, {"q": "x", "limit": "0"}, {"q": "x", "limit": "x"}, {"q": "x" * 2001}],
)
def test_a_search_that_cannot_be_meant_is_400(house: House, params: dict[str, str]) -> None:
    with house.http() as http:
        assert http.get("/v1/search", params=params).status_code == 400


def test_receipts_are_ones_own_and_the_auditors(house: House) -> None:
    with house.http("ann") as http:
        got = http.post(
            "/v1/chat/completions",
            json={"messages": [{"role": "user", "content": QUESTIONS[0]}]},
        ).json()
        path = f"/v1/receipts/{got['receipt_id']}"
        mine = http.get(path).json()
    assert mine["citations"] == got["citations"]
    assert mine["usage"]["total_tokens"] == got["usage"]["total_tokens"]
    assert {s["title"] for s in mine["passages"]} <= MAY_READ["ann"]
    with house.http("ben") as http:
        theirs, missing = http.get(path), http.get("/v1/receipts/turn_none")
    assert theirs.status_code == missing.status_code == 404
    assert theirs.json() == missing.json()
    assert house.events("access_denied")[-1]["subject"] == got["receipt_id"]
    with house.http("ada") as http:
        audited = http.get(path)
    assert audited.status_code == 200
    assert "Escalation" not in audited.text
    assert {"withheld": True} in audited.json()["passages"]
    read = house.events("receipt_read")[-1]
    assert (read["actor"], read["person"]) == (house.people["ada"].id, house.people["ann"].id)


def test_a_permission_taken_away_closes_search_and_old_receipts(
    house: House, tmp_path: Path
) -> None:
    services, admin = house.services, house.people["ada"]
    (tmp_path / "note.md").write_text("# Umbrella plan\n\nThe umbrella stands in the hall.\n")
    (tmp_path / "access.toml").write_text("[access]\neveryone = true\n")
    connector = services.sync.add(admin, "folder", "Umbrella", {"path": str(tmp_path)}, 3600)
    services.sync.run_once(connector)
    question = "Where is the umbrella plan's umbrella?"
    with house.http("ben") as http:
        assert "Umbrella plan" in http.get("/v1/search", params={"q": question}).text
        got = http.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": question}]}
        ).json()
        path = f"/v1/receipts/{got['receipt_id']}"
        assert "Umbrella plan" in http.get(path).text
        (tmp_path / "access.toml").write_text('[access]\ngroups = ["hr"]\n')
        services.sync.run_once(connector)
        assert "Umbrella" not in http.get("/v1/search", params={"q": question}).text
        closed = http.get(path).text
    assert "Umbrella" not in closed
    assert '"withheld":true' in closed


def test_only_models_one_may_use_are_listed(house: House) -> None:
    listed = {m.id for m in house.client().models.list()}
    assert listed == {"auto", "scripted", "reader"}
    assert set(FOLDERS) > {"everyone"}


def test_budgets_tell_amounts_of_the_callers_own_only(house: House) -> None:
    book, admin = house.services.budgets.book, house.people["ada"]
    with house.http("ann") as http:
        assert http.get("/v1/budgets").json() == {"object": "list", "data": []}
    book.allot(admin, "person", house.people["ann"].id, "month", 2.0)
    book.allot(admin, "company", "", "month", 2.0)
    spender = Spender.of(house.people["ann"], "travel_expenses")
    reservations = house.services.budgets.reservations
    held = reservations.reserve(spender, "turn_test", "model", Estimate(1_700_000, 0, 0.0))
    reservations.settle(held or "", 1.7)
    try:
        with house.http("ann") as http:
            own, company = http.get("/v1/budgets").json()["data"]
        with house.http("ben") as http:
            (seen,) = http.get("/v1/budgets").json()["data"]
        with house.http(None) as http:
            assert http.get("/v1/budgets").status_code == 401
    finally:
        for budget in book.budgets():
            book.remove(admin, budget.id)
    assert own["says"].startswith("You have used 85 % of your budget for this month; it renews on")
    assert (own["scope"], own["notice"]) == ("person", True)
    amounts = {name: own[name] for name in own if name.endswith("_usd")}
    assert amounts == {"limit_usd": 2.0, "spent_usd": 1.7, "held_usd": 0.0, "left_usd": 0.3}
    assert company == seen
    assert company["scope"] == "company"
    assert "nearly used up" in company["says"]
    assert not [name for name in company if name.endswith("_usd")]
    assert "$" not in company["says"]
