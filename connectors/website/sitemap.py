"""Sitemaps (https://www.sitemaps.org/protocol.html): page lists and indexes of them, XML or plain text, gzip or not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 52_428_800
"""The protocol's limit for one file, uncompressed."""
MOST_ENTRIES = 50_000
GZIP = b"\x1f\x8b"


class BadSitemap(Exception):
    """Words for why a file is no sitemap."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`lastmod` as the sitemap writes it."""

    address: str
    lastmod: str = ""


@dataclass(frozen=True, slots=True)
class Sitemap:
    pages: tuple[Entry, ...] = ()
    sitemaps: tuple[Entry, ...] = ()


def read_sitemap(content: bytes, address: str) -> Sitemap:
    """Raises BadSitemap."""
    content = _unpacked(content)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _xml(content)
    if address.partition("?")[0].endswith((".txt", ".txt.gz")):
        lines = (line.strip() for line in content.decode("utf-8-sig", "replace").splitlines())
        return Sitemap(tuple(Entry(line) for line in lines if line)[:MOST_ENTRIES])
    raise BadSitemap("It is no sitemap: neither XML nor a list of addresses.")


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(GZIP):
        return content
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = decoder.decompress(content, MAX_BYTES + 1)
    except zlib.error:
        raise BadSitemap("It is compressed wrongly.") from None
    if len(plain) > MAX_BYTES:
        raise BadSitemap(f"It is larger than {MAX_BYTES // 1_048_576} MB when unpacked.")
    return plain


def _xml(content: bytes) -> Sitemap:
    from lxml import etree

    # Entities stay unresolved and nothing is loaded: a sitemap is somebody else's XML.
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True
    )
    try:
        root: Any = etree.fromstring(content.lstrip(b"\xef\xbb\xbf \t\r\n"), parser)
    except etree.XMLSyntaxError as error:
        raise BadSitemap(f"It is not valid XML (line {error.lineno}).") from None
    kind = _local(root)
    if kind == "urlset":
        return Sitemap(pages=tuple(_entries(root, "url")))
    if kind == "sitemapindex":
        return Sitemap(sitemaps=tuple(_entries(root, "sitemap")))
    raise BadSitemap(f"It is no sitemap: its outermost element is <{kind}>.")


def _entries(root: Any, name: str) -> Iterator[Entry]:
    for number, element in enumerate(child for child in root if _local(child) == name):
        if number >= MOST_ENTRIES:
            return
        texts = {_local(child): (child.text or "").strip() for child in element}
        if texts.get("loc"):
            yield Entry(texts["loc"], texts.get("lastmod", ""))


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2].lower() if isinstance(element.tag, str) else ""
