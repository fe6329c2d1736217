"""What a detector says about a text: which kinds of personal data and secrets stand where."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What can be found. The value is its name in handling.toml, records and placeholders."""

    EMAIL = "email"
    PHONE = "phone"
    IP_ADDRESS = "ip_address"
    IBAN = "iban"
    CARD = "card"
    NATIONAL_ID = "national_id"
    PASSWORD = "password"
    ACCESS_KEY = "access_key"
    PRIVATE_KEY = "private_key"
    NAME = "name"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def secret(self) -> bool:
        return self in _SECRETS


_LABELS = {
    Kind.EMAIL: "e-mail address",
    Kind.PHONE: "phone number",
    Kind.IP_ADDRESS: "IP address",
    Kind.IBAN: "bank account (IBAN)",
    Kind.CARD: "payment card",
    Kind.NATIONAL_ID: "national id",
    Kind.PASSWORD: "password",
    Kind.ACCESS_KEY: "access key or token",
    Kind.PRIVATE_KEY: "private key",
    Kind.NAME: "person or place",
}
_SECRETS = frozenset({Kind.PASSWORD, Kind.ACCESS_KEY, Kind.PRIVATE_KEY})


@dataclass(frozen=True, slots=True)
class Finding:
    """`text[start:end]` is of this kind. `what` is the finer name ("Spanish DNI"); `verified` says that a checksum or a
    structure holds which chance seldom makes. The value itself is never kept here."""

    kind: Kind
    what: str
    start: int
    end: int
    verified: bool = False


class Detector(Protocol):
    """Finds in one text. Safe to call from any thread; takes time in proportion to the text, whatever it holds."""

    def find(self, text: str) -> list[Finding]: ...


def settled(findings: Iterable[Finding]) -> list[Finding]:
    """Without overlaps, in the text's order: secrets before the rest, then what is verified, then the longer."""
    ranked = sorted(
        findings, key=lambda f: (not f.kind.secret, not f.verified, f.start - f.end, f.start)
    )
    taken: list[Finding] = []
    for finding in ranked:
        place = bisect(taken, finding.start, key=lambda t: t.start)
        before = place == 0 or taken[place - 1].end <= finding.start
        if before and (place == len(taken) or finding.end <= taken[place].start):
            taken.insert(place, finding)
    return taken
