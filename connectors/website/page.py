"""What a crawler needs of a page: title, links, canonical address, robots rules, and a hash of its text."""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from connectors.website.robots import TOKEN, PageRules
from connectors.website.urls import normal

MOST_LINKS = 5000
# Left out of the hash: navigation and footers change (a clock, a new entry elsewhere) while the page does not.
NO_TEXT = frozenset({"script", "style", "template", "noscript", "nav", "footer", "svg", "iframe"})
META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:-]+)", re.I)


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    text_hash: str
    links: tuple[str, ...]
    canonical: str | None
    rules: PageRules


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def as_utf8(content: bytes, charset: str, *, html: bool) -> bytes:
    """The content in UTF-8 where the header (or the page itself) names another encoding, so that nobody has to guess."""
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content
    if not charset and html and (found := META_CHARSET.search(content[:4096])):
        charset = found.group(1).decode("ascii")
    try:
        name = codecs.lookup(charset).name if charset else "utf-8"
        if name in {"utf-8", "ascii"}:
            return content
        # The mark outweighs what a meta element inside still says.
        return codecs.BOM_UTF8 + content.decode(name, errors="replace").encode()
    except (LookupError, ValueError):  # an encoding nobody knows, or one that is none (base64)
        return content


def read_page(content: bytes, address: str) -> Page:
    """`content` in UTF-8. Never raises for a page, however broken."""
    from lxml import etree

    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        tree: Any = etree.fromstring(content.removeprefix(codecs.BOM_UTF8), parser)
    except (etree.XMLSyntaxError, ValueError):
        tree = None
    if tree is None:
        return Page("", digest(content), (), None, PageRules())
    base = normal(_first(tree.xpath("//base/@href")), address) or address
    rules = PageRules.read(_robots(tree))
    canonical = _first(
        link.get("href", "") for link in tree.iter("link") if "canonical" in _words(link)
    )
    title = " ".join(_first(tree.xpath("//title/text()")).split())
    text = title + "\n" + " ".join(" ".join(_texts(tree)).split())
    links = _links(tree, base) if rules.follow else ()
    return Page(
        title, digest(text.encode()), links, normal(canonical, base) if canonical else None, rules
    )


def _links(tree: Any, base: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for link in tree.iter("a", "area"):
        href = link.get("href")
        if href is None or "nofollow" in _words(link):
            continue
        address = normal(href, base)
        if address is not None and "@" not in address.split("/", 3)[2]:
            found[address] = None
        if len(found) >= MOST_LINKS:
            break
    return tuple(found)


def _words(element: Any) -> list[str]:
    return str(element.get("rel", "")).lower().split()


def _robots(tree: Any) -> list[str]:
    names = {"robots", TOKEN.lower()}
    return [
        meta.get("content", "")
        for meta in tree.iter("meta")
        if str(meta.get("name", "")).strip().lower() in names
    ]


def _texts(tree: Any) -> list[str]:
    """Iterative: the nesting of a hostile page would exhaust the stack."""
    texts: list[str] = []
    open_elements: list[tuple[Any, bool]] = [(tree, True)]
    while open_elements:
        element, enter = open_elements.pop()
        if not enter:
            texts.append(element.tail or "")
            continue
        open_elements.append((element, False))
        if element.tag not in NO_TEXT and element.tag != "title":
            texts.append(element.text or "")
            open_elements.extend((child, True) for child in reversed(element))
    return texts


def _first(values: Any) -> str:
    return str(next(iter(values), ""))
