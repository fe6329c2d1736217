"""The MediaWiki connector where the wire format matters: sign-in, maxlag, continuation, faults inside a 200, hostile answers.
Pages, changes and readers are tested against a real MediaWiki, in test_mediawiki_server.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.contract import (
    Checkpoint,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    SourceFault,
)
from connectors.http import Http
from connectors.mediawiki import MediaWikiConnector
from connectors.mediawiki.people import People
from connectors.mediawiki.settings import MediaWikiSecrets, MediaWikiSettings
from connectors.suite import listing
from tests.servers.json_server import Fault, JsonServer, Reply, Request

PASSWORD = "0123456789abcdef0123456789abcdef"
NOW = "2026-03-01T12:00:00Z"
Row = dict[str, Any]


def error(code: str, **headers: str) -> Reply:
    return Reply({"error": {"code": code, "info": f"No, {PASSWORD}."}}, headers=headers)


def page(id: int, title: str = "", **fields: Any) -> Row:
    row = {"pageid": id, "ns": 0, "title": title or f"Page {id:03}", "lastrevid": id * 10}
    row["fullurl"] = f"https://wiki.test/{id}"
    row["revisions"] = [{"revid": id * 10, "timestamp": "2026-01-01T00:00:00Z", "sha1": "ab"}]
    return {**row, **fields}


@dataclass
class Wiki:
    """api.php as mediawiki.org documents it (API:Login, API:Allpages, API:Recentchanges, API:Continue)."""

    pages: dict[int, Row] = field(default_factory=dict)
    recent: list[Row] = field(default_factory=list)
    sessions: int = 0
    signed_in: bool = False
    time: str = NOW

    def put(self, *rows: Row) -> None:
        self.pages.update({row["pageid"]: row for row in rows})

    def answer(self, request: Request) -> Reply:
        query = {**request.query, **(request.form if request.method == "POST" else {})}
        if query["action"] == "login":
            self.signed_in = (query["lgpassword"], query["lgtoken"]) == (PASSWORD, "token+\\")
            self.sessions += self.signed_in
            return Reply({"login": {"result": "Success" if self.signed_in else "Failed"}})
        if query.get("type") == "login":
            return Reply({"query": {"tokens": {"logintoken": "token+\\"}}})
        if query.get("assert") == "user" and not self.signed_in:
            return error("assertuserfailed")
        if query["action"] == "parse":
            return Reply({"parse": {"text": f"<p>Text {query['oldid']}</p>"}})
        return Reply(self._query(query))

    def _query(self, query: dict[str, str]) -> Row:
        if query.get("meta") == "siteinfo":
            return {"query": self._site()}
        if query.get("list") == "allusers":
            user = {"name": "Ada Lovelace", "groups": ["user"], "rights": ["read"]}
            return {"query": {"allusers": [user]}}
        if query.get("list") == "recentchanges":
            since = query["rcstart"]
            return {"query": {"recentchanges": [r for r in self.recent if r["timestamp"] >= since]}}
        if query.get("generator") == "allpages":
            return self._listed(query)
        ids = [int(id) for id in query.get("pageids", "").split("|") if id]
        missing = {"missing": True}
        return {"query": {"pages": [self.pages.get(id, {"pageid": id, **missing}) for id in ids]}}

    def _listed(self, query: dict[str, str]) -> Row:
        rows = sorted(self.pages.values(), key=lambda row: str(row["title"]))
        rows = [row for row in rows if row["title"] >= query.get("gapcontinue", "")]
        limit = int(query["gaplimit"])
        answer: Row = {"query": {"pages": rows[:limit]}}
        if rows[limit:]:
            answer["continue"] = {"gapcontinue": rows[limit]["title"], "continue": "gapcontinue||"}
        return answer

    def _site(self) -> Row:
        return {
            "general": {"sitename": "Wiki", "time": self.time},
            "namespaces": {"0": {"id": 0, "name": ""}},
            "namespacealiases": [],
            "usergroups": [{"name": "*", "rights": []}, {"name": "user", "rights": ["read"]}],
            "statistics": {"articles": len(self.pages)},
        }


@pytest.fixture
def wiki() -> Wiki:
    made = Wiki()
    made.put(page(1), page(2))
    return made


@pytest.fixture
def server(wiki: Wiki) -> Iterator[JsonServer]:
    with JsonServer(wiki.answer) as started:
        yield started


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def connector(server: JsonServer, waits: list[float]) -> MediaWikiConnector:
    return connect(server.url, waits)


def connect(
    url: str, waits: list[float], password: str = PASSWORD, **settings: object
) -> MediaWikiConnector:
    given = {"url": f"{url}/w/api.php", "bot_user": "Reader@switchboard", **settings}
    return MediaWikiConnector(
        MediaWikiSettings.model_validate(given),
        MediaWikiSecrets.model_validate({"bot_password": password}),
        Context(http=Http(requests_per_minute=100_000, pause=waits.append)),
    )


def test_many_pages_come_in_batches_that_can_be_gone_on_from(
    wiki: Wiki, server: JsonServer, connector: MediaWikiConnector
) -> None:
    wiki.put(*(page(id) for id in range(1, 131)))
    found = listing(connector)
    assert len(found.documents) == 130
    assert [c.complete for c in found.checkpoints] == [False, False, True]
    state = json.loads(json.dumps(found.checkpoints[0].state))
    server.requests.clear()
    rest = listing(connect(server.url, []), checkpoint=state)
    assert rest.documents.keys() == {f"page:{id}" for id in range(51, 131)}
    assert not rest.checkpoints[-1].complete, "it did not see everything itself"


def test_an_answer_that_is_cut_short_is_not_taken_for_the_end(
    server: JsonServer, connector: MediaWikiConnector
) -> None:
    list(connector.groups())  # signed in
    cut = {"query": {"pages": [page(1)]}, "continue": {"rvcontinue": "1|2", "continue": "||"}}
    inner, server.answer = (
        server.answer,
        lambda r: Reply(cut) if r.query.get("generator") else inner(r),
    )
    with pytest.raises(SourceFault):
        listing(connector)
    with pytest.raises(SourceFault):
        list(connector.list_ids())


def test_maxlag_is_honoured(
    server: JsonServer, connector: MediaWikiConnector, waits: list[float]
) -> None:
    connector.groups()
    lag = error("maxlag", **{"Retry-After": "9", "X-Database-Lag": "9"})
    server.faults.append(Fault("api.php", lag, times=2))
    assert len(listing(connector).documents) == 2
    assert sum(waits) == pytest.approx(18)
    reads = [r for r in server.requests if r.query.get("action") in {"query", "parse"}]
    assert all(r.query["maxlag"] == "5" for r in reads if r.query.get("type") != "login")


def test_a_wiki_that_stays_busy_is_told_as_passing(
    server: JsonServer, connector: MediaWikiConnector
) -> None:
    connector.groups()
    server.faults.append(Fault("api.php", error("maxlag"), times=50))
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert fault.value.passing


def test_429_is_waited_for(
    server: JsonServer, connector: MediaWikiConnector, waits: list[float]
) -> None:
    server.faults.append(Fault("api.php", Reply(status=429, headers={"Retry-After": "3"})))
    assert len(listing(connector).documents) == 2
    assert sum(waits) == pytest.approx(3)


def test_a_session_that_ends_midway_is_renewed_once(
    wiki: Wiki, server: JsonServer, connector: MediaWikiConnector
) -> None:
    changes = connector.changes({}, {})
    first = next(changes)
    wiki.signed_in = False
    rest = list(changes)
    assert isinstance(first, Document)
    assert [c.id for c in rest if isinstance(c, Document)] == ["page:2"]
    assert wiki.sessions == 2
    server.faults.append(Fault("api.php", error("assertuserfailed"), times=1))
    inner, server.answer = (
        server.answer,
        lambda r: error("assertuserfailed") if r.query.get("assert") else inner(r),
    )
    with pytest.raises(SourceFault) as fault:
        connector.groups()
    assert "bot password" in fault.value.fix


def test_refused_and_away_are_told_apart_and_the_password_is_never_repeated(
    server: JsonServer, waits: list[float]
) -> None:
    wrong = "w" * 32
    refused = connect(server.url, waits, password=wrong).validate()
    assert {check.outcome for check in refused} == {Outcome.FAILED}
    away = connect("http://127.0.0.1:9", waits).validate()
    assert {check.outcome for check in away} == {Outcome.INDETERMINATE}
    talkative = connect(server.url, waits)
    server.faults.append(Fault("api.php", error("weird<script>"), times=50))
    odd = talkative.validate()
    words = " ".join(map(str, [*refused, *away, *odd]))
    assert wrong not in words
    assert PASSWORD not in words
    assert "<script>" not in words
    sent = [r for r in server.requests if PASSWORD in r.body.decode() or PASSWORD in str(r.query)]
    assert all(r.method == "POST" and PASSWORD not in str(r.query) for r in sent)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>Sign in</html>"),
        Reply([1]),
        Reply({"query": {}}),
        Reply({"query": {"pages": [{"pageid": 1}]}}),
        Reply(status=500),
        error("internal_api_error_DBQueryError"),
    ],
)
def test_a_list_that_is_broken_is_a_fault_and_never_an_empty_one(
    server: JsonServer, connector: MediaWikiConnector, reply: Reply
) -> None:
    inner, server.answer = (
        server.answer,
        lambda r: reply if r.query.get("generator") == "allpages" else inner(r),
    )
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert fault.value.fix
    with pytest.raises(SourceFault):
        list(connector.list_ids())


def test_one_broken_page_fails_alone_and_a_row_of_them_is_the_wikis_fault(
    wiki: Wiki, server: JsonServer, connector: MediaWikiConnector
) -> None:
    wiki.put(*(page(id) for id in range(1, 9)))
    broken = {"20", "40"}
    inner, server.answer = (
        server.answer,
        lambda r: Reply(status=500) if r.query.get("oldid") in broken else inner(r),
    )
    found = listing(connector)
    failed = {c.id for c in found.changes if isinstance(c, Failure)}
    assert failed == {"page:2", "page:4"}
    assert len(found.documents) == 6
    broken |= {"50", "60"}
    with pytest.raises(SourceFault):
        listing(connector)


def test_suppressed_text_is_not_asked_for_and_leaves(
    wiki: Wiki, server: JsonServer, connector: MediaWikiConnector
) -> None:
    first = listing(connector)
    hidden = {"revid": 11, "timestamp": "2026-01-02T00:00:00Z", "sha1hidden": True}
    wiki.put(page(1, lastrevid=11, revisions=[hidden]), page(2, lastrevid=21, revisions=[]))
    wiki.recent = [{"pageid": id, "title": "x", "timestamp": NOW} for id in (1, 2)]
    server.requests.clear()
    state = first.checkpoints[-1].state
    after = listing(connector, checkpoint=state, known=first.versions)
    assert {c for c in after.changes if isinstance(c, Deletion)} == {
        Deletion("page:1"),
        Deletion("page:2"),
    }
    assert not any(r.query.get("action") == "parse" for r in server.requests)
    fresh = listing(connector)
    assert [c.id for c in fresh.changes if isinstance(c, Failure)] == ["page:1", "page:2"]


def test_a_wiki_that_forgot_what_changed_is_listed_anew(
    wiki: Wiki, connector: MediaWikiConnector
) -> None:
    first = listing(connector)
    wiki.pages.pop(1)
    wiki.time = "2026-04-01T12:00:00Z"
    after = listing(connector, checkpoint=first.checkpoints[-1].state, known=first.versions)
    assert after.checkpoints[-1].complete
    assert after.present == {"page:2"}


def test_a_hidden_log_entry_is_no_stumbling_block(
    wiki: Wiki, connector: MediaWikiConnector
) -> None:
    first = listing(connector)
    wiki.recent = [{"type": "log", "actionhidden": True, "timestamp": NOW}]
    after = listing(connector, checkpoint=first.checkpoints[-1].state, known=first.versions)
    assert isinstance(after.changes[-1], Checkpoint)


def test_a_title_is_text_and_never_markup(wiki: Wiki, connector: MediaWikiConnector) -> None:
    wiki.put(page(1, "<script>alert(1)</script> & Co"))
    content = listing(connector).documents["page:1"].content.decode()
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co</h1>" in content
    assert "<script>" not in content


@pytest.mark.parametrize(
    ("name", "mail"),
    [
        ("Ada Lovelace", "ada.lovelace@example.test"),
        ("bob", "bobby@other.test"),
        ("Dan", ""),
        ("Zoë", ""),
        ("x@attacker.test,y", ""),
        ("Équipe = A", "team@example.test"),
    ],
)
def test_addresses_are_made_from_names(name: str, mail: str) -> None:
    people = ("Bob = Bobby@Other.test", "Dan =", "Équipe = A = team@example.test")
    settings = MediaWikiSettings(
        url="https://wiki.test/api.php", mail_pattern="{name}@Example.test", people=people
    )
    assert People(settings).mail(name) == mail


@pytest.mark.parametrize(
    "wrong",
    [
        {"mail_pattern": "name@example.test"},
        {"mail_pattern": "{name}"},
        {"people": ("Ada",)},
        {"restricted": ("HR",)},
        {"url": "wiki.test/api.php"},
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MediaWikiSettings.model_validate({"url": "https://wiki.test/api.php", **wrong})


def test_without_addresses_nobody_reads(server: JsonServer, waits: list[float]) -> None:
    assert connect(server.url, waits).groups() == {"readers": frozenset()}
    named = connect(server.url, waits, people=("Ada_Lovelace = ada@example.test",))
    assert named.groups() == {"readers": frozenset({"ada@example.test"})}


def test_refetch_tells_what_is_gone_and_what_never_was(connector: MediaWikiConnector) -> None:
    asked = ["page:1", "page:9", "page:x", "9", ""]
    changes = {getattr(c, "id", ""): c for c in connector.refetch(asked)}
    assert isinstance(changes.pop("page:1"), Document)
    assert set(changes.values()) == {Deletion(id) for id in asked[1:]}
