"""E-mail addresses, phone numbers and IP addresses. None has a checksum; form and neighbours keep mistakes rare."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from app.access.sensitive.findings import Finding, Kind

_LOCAL = re.compile(r"[\w.+%'-]+\Z")
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_LOCAL_CHARS = 64  # RFC 5321, 4.5.3.1.1

_INTERNATIONAL = re.compile(r"\+(?<![\w+]\+)[1-9](?:[ .\-/()]{0,2}\d){6,14}(?!\d)")
_GROUPED = re.compile(
    r"(?<![\w.,+\-/])(?:\(0\d{1,4}\) ?|0\d{1,4}(?P<by>[ /.\-]))\d{2,8}(?:[ .\-]\d{2,6}){0,4}(?![\w/-]|[.,:]\d)"
)
_AMERICAN = re.compile(
    r"(?<![\w.+\-/])(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])[2-9]\d\d[-. ]\d{4}(?![\w-]|\.\d)"
)
_PLAIN = re.compile(r"(?<![\w.,+\-/])0\d{8,11}(?![\w-]|[.,]\d)")
_DATE = re.compile(r"\d{1,2}[./\- ]\d{1,2}[./\- ](?:19|20)\d\d")
_CALLED = re.compile(
    r"phone|\btel\b|mobile|\bcell|\bcall|\bring\b|whatsapp|\bsms\b|\btext\b|handy|telefon|anruf|portable|appel|móvil",
    re.IGNORECASE,
)
_BEFORE = 40

_IPV4 = re.compile(r"(?<![\w.\-/])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,45}(?![\w:])")
_VERSION = re.compile(r"(?:version|release|firmware|build|section|chapter)\s*\Z", re.IGNORECASE)


def emails(text: str) -> Iterator[Finding]:
    at = text.find("@")
    while at >= 0:
        if not at or text[at - 1] in " @\n":
            at = text.find("@", at + 1)
            continue
        local = _LOCAL.search(text, max(0, at - _LOCAL_CHARS), at)
        domain = _DOMAIN.match(text, at + 1) if local else None
        if local and domain and local[0].strip(".'") and local[0] != "git":
            start = local.start() + len(local[0]) - len(local[0].lstrip(".'-"))
            yield Finding(Kind.EMAIL, "e-mail address", start, domain.end())
        at = text.find("@", at + 1)


def phones(text: str, low: int, high: int) -> Iterator[Finding]:
    for match in _INTERNATIONAL.finditer(text, low, high):
        if 8 <= _digits(match[0]) <= 15:  # E.164
            yield _phone(match)
    for match in _AMERICAN.finditer(text, low, high):
        yield _phone(match)
    for match in _GROUPED.finditer(text, low, high):
        if 9 <= _digits(match[0]) <= 12 and _dialled(match[0]):
            yield _phone(match)
    for match in _PLAIN.finditer(text, low, high):
        if _CALLED.search(text, max(0, match.start() - _BEFORE), match.start()):
            yield _phone(match)


def ip_addresses(text: str) -> Iterator[Finding]:
    """Without those that name no machine (loopback, any, masks) and without four-part version numbers."""
    if text.count(".") >= 3:
        for match in _IPV4.finditer(text):
            if not _VERSION.search(text, max(0, match.start() - 12), match.start()):
                yield from _ip(match)
    if text.count(":") >= 2:
        for match in _IPV6.finditer(text):
            if match[0].count(":") >= 3 or (len(match[0]) >= 6 and "::" in match[0]):
                yield from _ip(match)


def _ip(match: re.Match[str]) -> Iterator[Finding]:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return
    mask = address.version == 4 and (match[0].startswith("255.") or match[0].startswith("0."))
    if not (address.is_loopback or address.is_unspecified or address.is_multicast or mask):
        yield Finding(Kind.IP_ADDRESS, f"IPv{address.version} address", match.start(), match.end())


def _phone(match: re.Match[str]) -> Finding:
    return Finding(Kind.PHONE, "phone number", match.start(), match.end())


def _dialled(number: str) -> bool:
    """Neither a date nor a part number: hyphens stand once, or between pairs."""
    groups = number.split("-")
    pairs = len(groups) == 5 and all(len(group) == 2 for group in groups)
    return not _DATE.match(number) and (len(groups) <= 2 or pairs)


def _digits(text: str) -> int:
    return sum(c.isdigit() for c in text)
