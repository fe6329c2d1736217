"""The website connector: the contract, and a real web server whose pages come, change, move and go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.contract import (
    Access,
    AccessChange,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    SourceFault,
    Unchanged,
)
from connectors.http import Http
from connectors.suite import ConnectorContract, listing
from connectors.website import WebsiteConnector
from connectors.website.settings import WebsiteSettings
from tests.servers.website_server import Site, Web, website

HOST = "docs.test"
LOCAL = "127.0.0.1/32"


@pytest.fixture
def web() -> Iterator[Web]:
    with website() as web:
        yield web


@pytest.fixture
def site(web: Web) -> Site:
    site = web.site(HOST)
    site.page("/", "Start. Welcome.", "/guide/", "/travel", "/file.pdf", "/notes.md", "/logo.png")
    site.page("/guide/", "Guide. How things are done.", "deep/one", "/")
    site.page("/guide/deep/one", "Deep. Far away.", "/guide/deep/two")
    site.page("/guide/deep/two", "Deeper. Further away.")
    site.page("/travel", "Travel. By train first.", "/guide/?utm_source=mail#top")
    site.put("/file.pdf", b"%PDF-1.4 not really", "application/pdf")
    site.put("/notes.md", "# Notes\n\nSome.", "text/markdown")
    site.put("/logo.png", b"\x89PNG", "image/png")
    return site


def crawler(web: Web, **settings: Any) -> WebsiteConnector:
    stated = {
        "start": [web.url(HOST)],
        "internal": [LOCAL],
        "ports": [str(web.port)],
        "everyone": True,
        **settings,
    }
    http = Http(pause=lambda _seconds: None, requests_per_minute=1_000_000)
    connector = WebsiteConnector(WebsiteSettings.model_validate(stated), context=Context(http=http))
    connector.resolve = lambda host, _port: ["127.0.0.1"] if host.endswith(".test") else []
    connector.pause = lambda _seconds: None
    return connector


def paths(found: set[str] | dict[str, Any], web: Web) -> set[str]:
    return {id.removeprefix(web.url(HOST, "")) for id in found}


def again(before: Any, connector: Connector) -> Any:
    state = json.loads(json.dumps(before.checkpoints[-1].state))
    return listing(connector, checkpoint=state, known=before.versions)


def kinds(found: Any, kind: type) -> dict[str, Any]:
    return {change.id: change for change in found.changes if isinstance(change, kind)}


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, web: Web, site: Site) -> Connector:
        del site
        return crawler(web, groups=["sales"], everyone=False)

    @pytest.fixture
    def broken_connector(self, web: Web) -> Connector:
        with website() as gone:
            port = gone.port
        return crawler(web, start=[f"http://{HOST}:{port}/"], ports=[str(port)])

    @pytest.fixture
    def changed_connector(self, web: Web, site: Site) -> Callable[[], Connector]:
        def change() -> Connector:
            site.page("/travel", "Travel. By bicycle from now on.", "/new")
            site.page("/new", "New. Just written.")
            site.remove("/guide/deep/two")
            return crawler(web, groups=["sales"], everyone=False)

        return change


def test_links_are_followed_on_this_host_to_the_depth(web: Web, site: Site) -> None:
    site.page(
        "/",
        "Start. Hello.",
        "/guide/",
        "http://elsewhere.test/x",
        "mailto:a@b.test",
        "javascript:x()",
    )
    web.site("elsewhere.test").page("/x", "Elsewhere. Not ours.")
    found = listing(crawler(web, depth=1))
    assert paths(found.documents, web) == {"/", "/guide/"}
    assert paths(listing(crawler(web, depth=2)).documents, web) == {
        "/",
        "/guide/",
        "/guide/deep/one",
    }
    assert not any(line.startswith("elsewhere") for line in web.asked)
    assert not kinds(found, Failure)


def test_further_hosts_are_read_when_listed(web: Web, site: Site) -> None:
    site.page("/", "Start. Hello.", web.url("wiki.test", "/page"))
    web.site("wiki.test").page("/page", "Wiki. A page.")
    assert len(listing(crawler(web)).documents) == 1
    found = listing(crawler(web, hosts=["Wiki.test"])).documents
    assert found[web.url("wiki.test", "/page")].space == "wiki.test"


def test_documents_carry_what_citations_need(web: Web, site: Site) -> None:
    site.page("/travel", "Travel. By train.", modified="Wed, 21 Oct 2025 07:28:00 GMT")
    found = listing(crawler(web, data_class="confidential")).documents
    travel = found[web.url(HOST, "/travel")]
    assert (travel.title, travel.mime, travel.url) == ("Travel", "text/html", travel.id)
    assert travel.data_class == "confidential"
    assert travel.modified_at is not None
    assert found[web.url(HOST, "/file.pdf")].mime == "application/pdf"
    assert found[web.url(HOST, "/notes.md")].mime == "text/markdown"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("stated", "access"),
    [
        ({"everyone": False}, Access.nobody()),
        ({"everyone": True}, Access(known=True, everyone=True, company_groups=True)),
        (
            {"everyone": False, "groups": ["hr"], "users": ["Ada@Example.test"]},
            Access(
                known=True,
                groups=frozenset({"hr"}),
                users=frozenset({"ada@example.test"}),
                company_groups=True,
            ),
        ),
    ],
)
def test_readers_are_those_stated_and_nobody_without(
    web: Web, stated: dict[str, Any], access: Access
) -> None:
    connector = crawler(web, **stated)
    assert {document.access for document in listing(connector).documents.values()} == {access}
    outcome = Outcome.PASSED if access.known else Outcome.FAILED
    assert {c.name: c.outcome for c in connector.validate()}["permissions"] is outcome


def test_a_second_pass_asks_whether_pages_changed(web: Web, site: Site) -> None:
    site.page(
        "/guide/",
        "Guide. By date.",
        "deep/one",
        validator=False,
        modified="Wed, 21 Oct 2025 07:28:00 GMT",
    )
    first = listing(crawler(web))
    web.not_modified.clear()
    second = again(first, crawler(web))
    assert not second.documents
    assert second.present == first.documents.keys()
    assert set(web.not_modified) == paths(first.documents, web)
    assert second.checkpoints[-1].complete


def test_a_page_behind_unchanged_pages_is_still_reached(web: Web, site: Site) -> None:
    site.page("/hub", "Hub. Only links.", "/hidden", head='<meta name="robots" content="noindex">')
    site.page("/", "Start. Hello.", "/hub")
    site.page("/hidden", "Hidden. Behind the hub.")
    first = listing(crawler(web))
    assert paths(first.documents, web) == {"/", "/hidden"}
    site.page("/hidden", "Hidden. Changed now.")
    second = again(first, crawler(web))
    assert paths(second.documents, web) == {"/hidden"}
    assert second.present == first.documents.keys()


def test_menus_scripts_and_footers_do_not_make_a_new_version(web: Web, site: Site) -> None:
    first = listing(crawler(web))
    html = site.resources["/travel"].body.decode()
    noise = html.replace("</body>", "<script>var t=1</script><footer>12:01</footer></body>")
    site.put("/travel", noise.replace("<nav>", "<nav><a href='/guide/'>New entry</a>"))
    assert again(first, crawler(web)).documents == {}
    site.put("/travel", noise.replace("By train first", "By boat first"))
    assert paths(again(first, crawler(web)).documents, web) == {"/travel"}


def test_what_is_gone_closed_or_unlinked_is_removed(web: Web, site: Site) -> None:
    first = listing(crawler(web))
    site.remove("/travel")
    site.resources["/file.pdf"].status = 403
    site.page(
        "/", "Start. Hello.", "/guide/", "/travel", "/file.pdf"
    )  # /notes.md is linked no more
    second = again(first, crawler(web))
    assert paths(kinds(second, Deletion), web) == {"/travel", "/file.pdf"}
    assert paths(kinds(second, Failure), web) == {"/file.pdf"}
    assert web.url(HOST, "/notes.md") not in second.present
    assert second.checkpoints[-1].complete


def test_a_page_that_fails_for_now_loses_nothing_behind_it(web: Web, site: Site) -> None:
    first = listing(crawler(web))
    site.resources["/guide/"].status = 500
    second = again(first, crawler(web))
    (failure,) = kinds(second, Failure).values()
    assert failure.id == web.url(HOST, "/guide/")
    assert "/guide/deep/two" in paths(second.present, web)
    assert second.checkpoints[-1].complete
    site.page("/", "Start. Hello.", "/guide/", "/broken")
    site.put("/broken", "x", status=500)  # nobody knows what lies behind this one
    assert not again(first, crawler(web)).checkpoints[-1].complete


def test_a_site_that_is_down_or_closed_deletes_nothing(web: Web, site: Site) -> None:
    first = listing(crawler(web))
    for status in (500, 403, 404):
        for resource in site.resources.values():
            resource.status = status
        with pytest.raises(SourceFault) as fault:
            again(first, crawler(web))
        assert fault.value.passing is (status == 500)
        assert fault.value.fix


def test_a_site_that_dies_in_the_middle_ends_the_pass(web: Web, site: Site) -> None:
    links = [f"/p{number}" for number in range(30)]
    site.page("/", "Start. Hello.", *links)
    for link in links:
        site.put(link, "x", status=502)
    web.asked.clear()
    with pytest.raises(SourceFault):
        listing(crawler(web))
    assert len({line for line in web.asked if "/p" in line}) <= 5


def test_redirects_inside_the_site_count_once_and_outside_not_at_all(web: Web, site: Site) -> None:
    site.page("/", "Start. Hello.", "/old", "/new", "/loop", "/out", "/far")
    site.page("/new", "New. The page.")
    site.redirect("/old", "/new", 301)
    site.redirect("/loop", "/loop")
    site.redirect("/out", web.url("elsewhere.test"))
    for number in range(7):
        site.redirect(f"/far{number or ''}", f"/far{number + 1}")
    found = listing(crawler(web))
    assert paths(found.documents, web) == {"/", "/new"}
    assert paths(kinds(found, Failure), web) == {"/loop", "/far"}
    assert not any(line.startswith("elsewhere") for line in web.asked)
    moved = crawler(web, start=[web.url(HOST, "/out")])
    with pytest.raises(SourceFault, match=r"elsewhere\.test, which is not listed"):
        listing(moved)


def test_the_canonical_address_is_the_document(web: Web, site: Site) -> None:
    def canonical(path: str) -> str:
        return f'<link rel="canonical" href="{path}">'

    site.page("/", "Start. Hello.", "/a?print=1", "/x", "/lost", "/foreign")
    site.page("/a?print=1", "A. Print.", head=canonical("/a"))
    site.page("/a", "A. Real.", head=canonical("/a"))
    site.page("/x", "X. One.", head=canonical("/y"))
    site.page("/y", "Y. Other.", head=canonical("/x"))
    site.page("/lost", "Lost. Alone.", head=canonical("/missing"))
    site.page("/foreign", "Foreign. Ours.", head=canonical("http://elsewhere.test/"))
    found = paths(listing(crawler(web)).documents, web)
    assert found == {"/", "/a", "/y", "/lost", "/foreign"}


def test_pages_may_ask_not_to_be_kept_or_followed(web: Web, site: Site) -> None:
    site.page("/", "Start. Hello.", "/noindex", "/nofollow", "/header", "/other")
    site.page(
        "/noindex", "No. Index.", "/via-noindex", head='<meta name="ROBOTS" content="NOINDEX">'
    )
    site.page("/via-noindex", "Via. Noindex.")
    site.page(
        "/nofollow", "No. Follow.", "/via", head='<meta name="switchboard" content="nofollow">'
    )
    site.page("/via", "Via. Never reached.")
    site.page("/header", "Header. None.", "/via", headers={"X-Robots-Tag": "none"})
    site.page("/other", "Other. Crawler.", headers={"X-Robots-Tag": "otherbot: noindex, nofollow"})
    found = paths(listing(crawler(web)).documents, web)
    assert found == {"/", "/via-noindex", "/nofollow", "/other"}
    assert not any("via" in line and "noindex" not in line for line in web.asked)


@pytest.mark.usefixtures("site")
def test_include_exclude_and_the_page_limit(web: Web) -> None:
    some = listing(crawler(web, include=["guide/**"], exclude=["guide/deep/two"]))
    assert paths(some.documents, web) == {"/guide/", "/guide/deep/one"}
    assert "docs.test /guide/deep/two" not in web.asked
    few = listing(crawler(web, page_limit=3))
    assert len(few.documents) == 3
    (limit,) = kinds(few, Failure).values()
    assert "3 pages" in limit.cause
    assert limit.fix


def test_encodings_are_made_utf8(web: Web, site: Site) -> None:
    site.page("/", "Start. Hello.", "/latin", "/meta", "/odd", "/bare.txt")
    site.put("/latin", "<p>Grüße</p>".encode("latin-1"), "text/html; charset=iso-8859-1")
    site.put("/meta", '<meta charset="windows-1251"><p>Привет</p>'.encode("cp1251"), "text/html")
    site.put("/odd", b"<p>plain</p>", "text/html; charset=base64")
    site.put("/bare.txt", "Ünï".encode("utf-16"), "text/plain")
    found = listing(crawler(web)).documents
    content = {path: found[web.url(HOST, path)].content for path in ("/latin", "/meta", "/odd")}
    assert "Grüße" in content["/latin"].decode("utf-8-sig")
    assert "Привет" in content["/meta"].decode("utf-8-sig")
    assert content["/odd"] == b"<p>plain</p>"


def test_hostile_pages_break_nothing(web: Web, site: Site) -> None:
    site.put(
        "/",
        b"<a href='/deep'><a href='http://[::1'><a href='//'><a href='http://x:99999/'>"
        b"<a href='/empty'><a href='/binary'><a href='http://user:pw@docs.test/'>",
    )
    site.put("/deep", b"<div>" * 50_000 + b"text")
    site.put("/empty", b"")
    site.put("/binary", bytes(range(256)) * 100)
    found = listing(crawler(web))
    assert paths(found.documents, web) == {"/", "/deep", "/empty", "/binary"}


def test_checkpoints_come_every_hundred_pages_and_a_resumed_pass_reads_little(
    web: Web, site: Site
) -> None:
    links = [f"/p{number}" for number in range(250)]
    site.page("/", "Start. Hello.", *links)
    for link in links:
        site.page(link, f"Page {link}. Text.")
    connector = crawler(web)
    stopped: list[Any] = []
    for change in connector.changes({}, {}):
        stopped.append(change)
        if isinstance(change, Checkpoint) and len(stopped) > 200:
            break
    assert not any(c.complete for c in stopped if isinstance(c, Checkpoint))
    known = {c.id: c.version for c in stopped if isinstance(c, Document)}
    rest = listing(crawler(web), checkpoint=stopped[-1].state, known=known)
    assert len(known) == 200
    assert len(rest.documents) == 51
    assert len(web.not_modified) == 200
    assert rest.checkpoints[-1].complete


def test_readers_taken_back_reach_every_page_and_stay_confirmed_without_requests(
    web: Web, site: Site
) -> None:
    *_, last = crawler(web).access({})
    assert isinstance(last, Checkpoint)
    web.asked.clear()
    assert list(crawler(web).access(last.state)) == [last]
    assert web.asked == []
    told = list(crawler(web, everyone=False).access(last.state))
    changes = {c.id: c.access for c in told if isinstance(c, AccessChange)}
    assert changes.keys() >= listing(crawler(web)).documents.keys()
    assert set(changes.values()) == {Access.nobody()}
    site.put("/notes.md", "x", status=500)
    with pytest.raises(SourceFault):
        list(crawler(web, everyone=False).access(last.state))


def test_single_pages_are_fetched_again(web: Web, site: Site) -> None:
    site.redirect("/travel", "/guide/")
    site.remove("/notes.md")
    site.resources["/file.pdf"].status = 503
    ids = [web.url(HOST, path) for path in ("/guide/", "/travel", "/notes.md", "/file.pdf")]
    changes = list(crawler(web).refetch([*ids, "http://elsewhere.test/", "ftp://docs.test/"]))
    assert [type(c) for c in changes] == [Document, Deletion, Deletion, Failure, Deletion, Deletion]


@pytest.mark.usefixtures("site")
def test_unchanged_pages_keep_the_readers_of_now(web: Web) -> None:
    first = listing(crawler(web))
    second = again(first, crawler(web, everyone=False, groups=["hr"]))
    unchanged = kinds(second, Unchanged)
    assert unchanged.keys() == first.documents.keys()
    assert all(change.access.groups == {"hr"} for change in unchanged.values())


@pytest.mark.parametrize(
    "settings",
    [
        {"start": []},
        {"start": ["ftp://docs.test/"]},
        {"start": ["docs.test"]},
        {"start": ["https://user:pw@docs.test/"]},
        {"users": ["nobody"]},
        {"ports": ["http"]},
        {"internal": ["10.0.0.1/8"]},
        {"internal": ["http://wiki"]},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebsiteSettings.model_validate({"start": ["https://docs.test/"], **settings})
