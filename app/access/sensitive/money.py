"""Bank accounts and payment cards, each proved by its checksum."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.access.sensitive.checksums import iban, luhn
from app.access.sensitive.findings import Finding, Kind

_IBAN_HEAD = re.compile(r"\b[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
# Characters of an IBAN by country: SWIFT's IBAN registry, release 99.
_IBAN_LENGTHS = dict(
    part.split(":")
    for part in (
        "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27"
        " DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28"
        " IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22"
        " MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24"
        " SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30"
    ).split()
)

_CLUSTER = re.compile(r"(?<![\w.,/])\d{4,19}(?:[ -]\d{2,7})*(?!\w)")
_GROUP = re.compile(r"\d+")
# First digits and lengths: ISO/IEC 7812 ranges as the networks publish them.
_ISSUERS: tuple[tuple[str, int, int, tuple[int, ...]], ...] = (
    ("Visa", 4, 4, (16, 19)),
    ("Mastercard", 51, 55, (16,)),
    ("Mastercard", 2221, 2720, (16,)),
    ("American Express", 34, 34, (15,)),
    ("American Express", 37, 37, (15,)),
    ("Discover", 6011, 6011, (16, 19)),
    ("Discover", 644, 659, (16, 19)),
    ("Diners Club", 300, 305, (14, 16)),
    ("Diners Club", 36, 36, (14, 16)),
    ("Diners Club", 38, 39, (14, 16)),
    ("JCB", 3528, 3589, (16, 19)),
    ("UnionPay", 62, 62, (16, 17, 18, 19)),
    ("Maestro", 50, 50, (16, 18, 19)),
    ("Maestro", 56, 58, (16, 18, 19)),
    ("Mir", 2200, 2204, (16,)),
)


def ibans(text: str, low: int, high: int) -> Iterator[Finding]:
    for head in _IBAN_HEAD.finditer(text, low, high):
        length = int(_IBAN_LENGTHS.get(head[0][:2].upper(), 0))
        end, compact = _collect(text, head.start(), length)
        if length and len(compact) == length and iban(compact.upper()):
            yield Finding(Kind.IBAN, f"IBAN, {compact[:2].upper()}", head.start(), end, True)


def cards(text: str, low: int, high: int) -> Iterator[Finding]:
    for cluster in _CLUSTER.finditer(text, low, high):
        groups = [(g.start(), g.end()) for g in _GROUP.finditer(text, *cluster.span())]
        for first, (start, end) in enumerate(groups):
            if end - start >= 4:
                yield from _card(text, groups[first : first + 6], start)


def _card(text: str, groups: list[tuple[int, int]], start: int) -> Iterator[Finding]:
    """A card that starts with the first group: the longest run of whole groups that an issuer knows and Luhn proves."""
    digits, found = "", None
    for place, (left, right) in enumerate(groups):
        if place and right - left < 2:
            break
        digits += text[left:right]
        if len(digits) > 19:
            break
        issuer = _issuer(digits)
        if issuer and luhn(digits):
            found = Finding(Kind.CARD, issuer, start, right, True)
    if found:
        yield found


def _issuer(digits: str) -> str:
    for name, low, high, lengths in _ISSUERS:
        if len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high:
            return name
    return ""


def _collect(text: str, start: int, length: int) -> tuple[int, str]:
    """Up to `length` letters and digits from `start`, single blanks or hyphens between them; "" when more follow."""
    at, taken = start, ""
    while len(taken) < length and at < len(text):
        char = text[at]
        if char.isascii() and char.isalnum():
            taken += char
        elif char not in " -" or text[at - 1] in " -":
            break
        at += 1
    if at < len(text) and text[at].isalnum():
        return at, ""
    return at, taken
