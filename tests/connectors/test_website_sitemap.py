"""Sitemaps and robots.txt, as their specifications have them, against a real web server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.contract import Context, Failure, Outcome, SourceFault
from connectors.http import Http
from connectors.suite import listing
from connectors.website import WebsiteConnector
from connectors.website.settings import WebsiteSettings
from connectors.website.sitemap import BadSitemap, read_sitemap
from tests.servers.website_server import Site, Web, website

HOST = "docs.test"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@pytest.fixture
def web() -> Iterator[Web]:
    with website() as web:
        yield web


@pytest.fixture
def site(web: Web) -> Site:
    site = web.site(HOST)
    for name in ("a", "b", "c"):
        site.page(f"/{name}", f"Page {name}. Text.", "/linked")
    site.page("/", "Start. Text.", "/a", "/private/x")
    site.page("/linked", "Linked. Text.")
    site.page("/private/x", "Private. Text.")
    return site


def crawler(web: Web, waits: list[float] | None = None, **settings: Any) -> WebsiteConnector:
    stated = {
        "start": [web.url(HOST)],
        "internal": ["127.0.0.1"],
        "ports": [str(web.port)],
        "everyone": True,
        **settings,
    }
    http = Http(pause=lambda _seconds: None, requests_per_minute=1_000_000)
    connector = WebsiteConnector(WebsiteSettings.model_validate(stated), context=Context(http=http))
    connector.resolve = lambda _host, _port: ["127.0.0.1"]
    connector.pause = (waits if waits is not None else []).append
    connector.clock = lambda: 1000.0
    return connector


def paths(connector: WebsiteConnector, web: Web) -> set[str]:
    return {id.removeprefix(web.url(HOST, "")) for id in listing(connector).documents}


def urlset(web: Web, **pages: str) -> str:
    entries = "".join(
        f"<url><loc>{web.url(HOST, '/' + name)}</loc><lastmod>{date}</lastmod></url>"
        for name, date in pages.items()
    )
    return f'<?xml version="1.0"?><urlset {NAMESPACE}>{entries}</urlset>'


def index(web: Web, *names: str) -> str:
    entries = "".join(f"<sitemap><loc>{web.url(HOST, name)}</loc></sitemap>" for name in names)
    return f"<sitemapindex {NAMESPACE}>{entries}</sitemapindex>"


def test_an_index_of_sitemaps_named_by_robots_is_read(web: Web, site: Site) -> None:
    site.put("/robots.txt", f"Sitemap: {web.url(HOST, '/maps/index.xml')}\n", "text/plain")
    site.put("/maps/index.xml", index(web, "/maps/1.xml.gz", "/maps/index.xml"), "text/xml")
    packed = gzip.compress(urlset(web, a="2026-01-01", b="2026-01-01").encode())
    site.put("/maps/1.xml.gz", packed, "application/x-gzip")
    connector = crawler(web, find="sitemap")
    assert paths(connector, web) == {"/a", "/b"}
    assert "2 pages" in connector.validate()[0].message
    site.put("/maps/index.xml", index(web, "/maps/1.xml.gz", "/maps/gone.xml"), "text/xml")
    found = listing(connector)
    assert [c.id for c in found.changes if isinstance(c, Failure)] == [
        web.url(HOST, "/maps/gone.xml")
    ]
    assert not found.checkpoints[-1].complete, "a part that is missing must delete nothing"


def test_a_sitemap_in_its_usual_place_and_as_start_address(web: Web, site: Site) -> None:
    site.put("/sitemap.xml", urlset(web, c=""), "application/xml")
    assert paths(crawler(web, find="sitemap"), web) == {"/c"}
    started = crawler(web, start=[web.url(HOST, "/sitemap.xml")])
    assert paths(started, web) == {"/c", "/linked"}
    site.remove("/sitemap.xml")
    with pytest.raises(SourceFault, match="no sitemap"):
        listing(crawler(web, find="sitemap"))


def test_trusted_dates_spare_the_requests(web: Web, site: Site) -> None:
    site.put("/sitemap.xml", urlset(web, a="2026-01-01", b="2026-01-01"), "application/xml")
    connector = crawler(web, find="sitemap", trust_lastmod=True)
    first = listing(connector)
    site.put("/sitemap.xml", urlset(web, a="2026-02-02", b="2026-01-01"), "application/xml")
    web.asked.clear()
    state = json.loads(json.dumps(first.checkpoints[-1].state))
    second = listing(connector, checkpoint=state, known=first.versions)
    assert second.present == first.documents.keys()
    assert [line for line in web.asked if line.endswith(("/a", "/b"))] == ["docs.test /a"]


@pytest.mark.parametrize(
    "content",
    [
        b"<html></html>",
        b"<urlset>",
        b"no sitemap",
        b"\x1f\x8bwrong",
        gzip.compress(b" " * 60_000_000),
    ],
)
def test_what_is_no_sitemap_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(BadSitemap, match=r"\w+ \w+"):
        read_sitemap(content, "https://docs.test/sitemap.xml")


def test_a_hostile_sitemap_reads_no_files_and_expands_nothing() -> None:
    entity = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd"><!ENTITY a "aaaaaaaaaa">]>'
    text = f"{entity}<urlset><url><loc>https://docs.test/&f;&a;</loc></url></urlset>"
    found = read_sitemap(text.encode(), "https://docs.test/sitemap.xml")
    assert [page.address for page in found.pages] == ["https://docs.test/"]


def test_robots_rules_are_kept(web: Web, site: Site) -> None:
    site.put(
        "/robots.txt",
        "User-agent: *\nDisallow: /\n\nUser-agent: switchboard\nDisallow: /private/\n",
        "text/plain",
    )
    assert paths(crawler(web), web) == {"/", "/a", "/linked"}
    assert "docs.test /private/x" not in web.asked
    site.put("/robots.txt", "User-agent: *\nDisallow: /\n", "text/plain")
    with pytest.raises(SourceFault, match=r"robots\.txt forbids") as fault:
        listing(crawler(web))
    assert "Switchboard" in fault.value.fix


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (500, False), (503, False)]
)
def test_robots_that_cannot_be_read(web: Web, site: Site, status: int, allowed: bool) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /\n", "text/plain", status=status)
    check = crawler(web).validate()[0]
    if allowed:
        assert check.outcome is Outcome.PASSED
        assert "/" in paths(crawler(web), web)
    else:
        assert check.outcome is Outcome.INDETERMINATE
        assert "robots.txt cannot be read" in check.message
        assert set(web.asked) == {"docs.test /robots.txt"}


def test_the_crawl_delay_is_kept_and_bounded(web: Web, site: Site) -> None:
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 2\n", "text/plain")
    waits: list[float] = []
    found = paths(crawler(web, waits, exclude=["private"]), web)
    assert sum(waits) == 2 * (len(found) - 1)
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 86400\n", "text/plain")
    waits.clear()
    listing(crawler(web, waits, exclude=["private"]))
    assert sum(waits) == 30 * (len(found) - 1)
