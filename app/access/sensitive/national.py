"""Numbers by which states know people. Where the checksum alone would take too many order numbers for one (PESEL, BSN, NHS)
the number must be called by its name just before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.access.sensitive import checksums
from app.access.sensitive.findings import Finding, Kind

_BEFORE = 48
_NO_WORD = r"(?<![\w.,/-])"
_END = r"(?![\w-]|[.,]\d)"


@dataclass(frozen=True, slots=True)
class NationalId:
    """`valid` proves a match by its checksum; None where the number has none. `called` must stand shortly before it."""

    what: str
    form: re.Pattern[str]
    valid: Callable[[re.Match[str]], bool] | None = None
    called: re.Pattern[str] | None = None


def _compact(match: re.Match[str]) -> str:
    return re.sub(r"[^0-9A-Z]", "", match[0])


def _day(digits: str) -> bool:
    """`yymmdd` that can be a date."""
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31


def _nir(match: re.Match[str]) -> bool:
    compact = _compact(match)
    return checksums.french_nir(compact[:13], compact[13:])


def _dni(match: re.Match[str]) -> bool:
    compact = _compact(match)
    return checksums.spanish_dni(compact[:-1], compact[-1])


def _personnummer(match: re.Match[str]) -> bool:
    digits = _compact(match)[-10:]
    return _day(digits) and checksums.luhn(digits)


KNOWN: tuple[NationalId, ...] = (
    NationalId(
        "UK National Insurance number",
        re.compile(
            r"\b(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"
        ),
    ),
    NationalId(
        "US Social Security number",
        re.compile(_NO_WORD + r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}" + _END),
    ),
    NationalId(
        "US Social Security number",
        re.compile(_NO_WORD + r"(?!000|666|9)\d{3} ?(?!00)\d{2} ?(?!0000)\d{4}" + _END),
        called=re.compile(r"\bssn\b|social security", re.IGNORECASE),
    ),
    NationalId(
        "French NIR",
        re.compile(
            _NO_WORD
            + r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}"
            + _END
        ),
        _nir,
    ),
    NationalId(
        "German tax id",
        re.compile(_NO_WORD + r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}" + _END),
        lambda m: checksums.german_tax_id(_compact(m)),
    ),
    NationalId(
        "Spanish DNI or NIE",
        re.compile(_NO_WORD + r"(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]\b"),
        _dni,
    ),
    NationalId(
        "Italian codice fiscale",
        re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b"),
        lambda m: checksums.codice_fiscale(m[0]),
    ),
    NationalId(
        "Swiss AHV number",
        re.compile(_NO_WORD + r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}" + _END),
        lambda m: checksums.ean13(_compact(m)),
    ),
    NationalId(
        "Swedish personal number",
        re.compile(_NO_WORD + r"(?:19|20)?\d{6}[-+]\d{4}" + _END),
        _personnummer,
    ),
    NationalId(
        "Belgian national number",
        re.compile(_NO_WORD + r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}" + _END),
        lambda m: checksums.belgian_national(_compact(m)),
    ),
    NationalId(
        "Polish PESEL",
        re.compile(_NO_WORD + r"\d{11}" + _END),
        lambda m: checksums.pesel(m[0]),
        re.compile(r"pesel", re.IGNORECASE),
    ),
    NationalId(
        "Dutch BSN",
        re.compile(_NO_WORD + r"\d{9}" + _END),
        lambda m: checksums.dutch_bsn(m[0]),
        re.compile(r"\bbsn\b|burgerservice", re.IGNORECASE),
    ),
    NationalId(
        "NHS number",
        re.compile(_NO_WORD + r"\d{3} ?\d{3} ?\d{4}" + _END),
        lambda m: checksums.nhs(_compact(m)),
        re.compile(r"\bnhs\b", re.IGNORECASE),
    ),
)


def national_ids(text: str, low: int, high: int) -> Iterator[Finding]:
    for known in KNOWN:
        for match in known.form.finditer(text, low, high):
            if known.valid and not known.valid(match):
                continue
            left = max(0, match.start() - _BEFORE)
            if known.called and not known.called.search(text, left, match.start()):
                continue
            proved = known.valid is not None
            yield Finding(Kind.NATIONAL_ID, known.what, match.start(), match.end(), proved)
