"""Personal data and secrets in a text: what is found, what is left alone, and how long it may take."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.sensitive.detect import OwnDetector
from app.access.sensitive.findings import Finding, Kind

HANDBOOK = Path(__file__).parents[3].parent / "shared" / "data" / "handbook_18f" / "pages"
COMPANY = Path(__file__).parents[3] / "app" / "demo" / "company"
DETECTOR = OwnDetector()


def found(text: str) -> list[tuple[Kind, str, bool]]:
    return [(f.kind, text[f.start : f.end], f.verified) for f in DETECTOR.find(text)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.EMAIL, "anna.li+work@mail.example.co.uk"),
        (Kind.PHONE, "+44 113 496 0123"),
        (Kind.PHONE, "(415) 555-0132"),
        (Kind.PHONE, "1-800-222-0364"),
        (Kind.PHONE, "04 72 00 00 00"),
        (Kind.PHONE, "0341/1234567"),
        (Kind.IP_ADDRESS, "203.0.113.7"),
        (Kind.IP_ADDRESS, "2001:db8::1"),
        (Kind.NATIONAL_ID, "AB 12 34 56 C"),
        (Kind.NATIONAL_ID, "123-45-6789"),
        (Kind.PASSWORD, "Wren!42x"),
        (Kind.ACCESS_KEY, "AKIAIOSFODNN7EXAMPLE"),
        (Kind.ACCESS_KEY, "ghp_" + "a1B2c3D4e5" * 4),
        (Kind.ACCESS_KEY, "xoxb-123456789012-abcdefABCDEF123456"),
        (Kind.ACCESS_KEY, "sk-proj-Ab12Cd34Ef56Gh78Ij90Kl12"),
        (Kind.ACCESS_KEY, "sk-ant-api03-" + "Ab1_" * 10),
        (Kind.ACCESS_KEY, "AIza" + "Sy0a1" * 7),
    ],
)
def test_what_has_no_checksum_is_known_by_its_form(kind: Kind, value: str) -> None:
    text = f"The password is {value} ok?" if kind is Kind.PASSWORD else f"Please use {value} ok?"
    assert found(text) == [(kind, value, False)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.IBAN, "DE89 3704 0044 0532 0130 00"),
        (Kind.IBAN, "GB82WEST12345698765432"),
        (Kind.IBAN, "FR14 2004 1010 0505 0001 3M02 606"),
        (Kind.CARD, "4111 1111 1111 1111"),
        (Kind.CARD, "5555-5555-5555-4444"),
        (Kind.CARD, "378282246310005"),
        (Kind.NATIONAL_ID, "1 85 05 78 006 084 91"),
        (Kind.NATIONAL_ID, "86 095 742 719"),
        (Kind.NATIONAL_ID, "12345678Z"),
        (Kind.NATIONAL_ID, "X1234567L"),
        (Kind.NATIONAL_ID, "RSSMRA85T10A562S"),
        (Kind.NATIONAL_ID, "756.9217.0769.85"),
        (Kind.NATIONAL_ID, "811218-9876"),
        (Kind.NATIONAL_ID, "85.07.30-033.28"),
    ],
)
def test_a_checksum_proves_a_number_and_a_changed_digit_disproves_it(
    kind: Kind, value: str
) -> None:
    assert found(f"It is {value}, thanks.") == [(kind, value, True)]
    digits = [match.start() for match in re.finditer(r"\d", value)]
    at = digits[-2]
    wrong = value[:at] + str((int(value[at]) + 1) % 10) + value[at + 1 :]
    assert (kind, wrong, True) not in found(f"It is {wrong}, thanks.")


@pytest.mark.parametrize(
    ("called", "value"),
    [("PESEL", "44051401359"), ("BSN", "111222333"), ("NHS number", "943 476 5919")],
)
def test_a_weak_checksum_needs_the_numbers_name_before_it(called: str, value: str) -> None:
    assert found(f"The {called} is {value}.") == [(Kind.NATIONAL_ID, value, True)]
    assert all(kind is not Kind.NATIONAL_ID for kind, _, _ in found(f"The order is {value}."))


def test_a_private_key_is_found_to_its_end_even_when_that_was_cut_off() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----"
    assert found(f"This: {key} please") == [(Kind.PRIVATE_KEY, key, True)]
    cut = key.partition("-----END")[0]
    assert found(f"This: {cut}") == [(Kind.PRIVATE_KEY, cut, False)]


def test_a_web_token_is_one_only_if_its_header_names_an_algorithm() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_"
    assert found(f"Bearer {token}") == [(Kind.ACCESS_KEY, token, True)]
    assert found("see eyJub3RoaW5nIjoxfQ.eyJzdWIiOiIxIn0.abc-_") == []


@pytest.mark.parametrize(
    "text",
    [
        "The password is expired. What are the rules for a password: at least 12 characters?",
        "The new password is 14-digit, my token is broken and the API key is missing.",
        "password = ${DB_PASSWORD}, api_key: <your-key>, secret: ********, token: REDACTED",
        "On 01.02.2026 10:30 we shipped release 4.3.10.2 (version 1.2.3.4) of order 4111 1111 1111 1112.",
        "Commit 9fceb02d0ae598e95dc970b74767f19372d61af8 uses sk-learn-contrib-examples-and-more.",
        "git@github.com:acme/desk.git, std::vector<a::b>, 10:30:45, 255.255.255.0, 127.0.0.1",
        "Part 0400-12345-01, invoice 20260102-000123, 1,234,567.89 euros, room 12-34-56",
        "Ticket 12345678A, ISBN 978-3-16-148410-0, UUID 123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_everyday_numbers_and_words_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_the_companys_own_handbook_holds_little_that_looks_like_a_secret() -> None:
    texts = [p.read_text(encoding="utf-8") for p in COMPANY.rglob("*.md")]
    told = [f for text in texts for f in DETECTOR.find(text)]
    assert len(texts) > 20
    assert {f.kind for f in told} <= {Kind.EMAIL, Kind.PHONE, Kind.IP_ADDRESS}


@pytest.mark.skipif(not HANDBOOK.exists(), reason="the 18F handbook is not beside the project")
def test_a_real_handbook_yields_addresses_and_telephones_and_no_false_alarm_of_another_kind() -> (
    None
):
    told: list[Finding] = []
    for page in sorted(HANDBOOK.rglob("*.md")):
        told += DETECTOR.find(page.read_text(encoding="utf-8"))
    others = [f for f in told if f.kind not in (Kind.EMAIL, Kind.PHONE)]
    assert sum(f.kind is Kind.EMAIL for f in told) > 200
    # Two links of a newsletter service carry a signed web token, which is what they are.
    assert {f.what for f in others} <= {"JSON Web Token"}
    assert len(others) <= 2


HOSTILE = [
    "@", "a@", "a.", "1 ", "1-", "4111 ", "sk-", "eyJ.", "+1", "0 ", "password: ", "A1", "::",
    "-----BEGIN PRIVATE KEY-----", "1.", "(0", "DE89 ", "://a:", "a" * 64 + "@", "xoxb-1-",
    "1234567890", "password is ", "a:", "4" * 19 + " ", "a@a.", "://a:b@",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_grows_with_the_length_of_a_hostile_text_and_no_faster(piece: str) -> None:
    """Processor time, the best of three: four times the text may take at most ten times as long."""

    def cost(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        times = []
        for _ in range(3):
            started = time.process_time()
            DETECTOR.find(text)
            times.append(time.process_time() - started)
        return min(times)

    assert cost(20_000) <= 10 * max(cost(5_000), 0.002)


@given(st.text(alphabet="0123456789 -.:@+/()abAB_[]\n=\"'", max_size=300))
def test_findings_lie_in_the_text_in_order_and_apart(text: str) -> None:
    findings = DETECTOR.find(text)
    edges = [edge for f in findings for edge in (f.start, f.end)]
    assert edges == sorted(edges)
    assert all(0 <= f.start < f.end <= len(text) for f in findings)
