"""Times, money and permissions in plain words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.ui.widgets import words

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=4), "4 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=12), "12 days ago"),
        (timedelta(days=90), "24 Aug 2026"),
        (-timedelta(minutes=20), "in 20 min"),
    ],
)
def test_how_long_ago(distance: timedelta, said: str) -> None:
    assert words.ago(NOW - distance, NOW) == said


def test_a_time_is_exact_in_the_persons_zone_on_hover() -> None:
    html = words.time_html(NOW, words.zone_of("Europe/Paris"))
    assert 'title="22 Nov 2026, 13:00 CET"' in html
    assert 'datetime="2026-11-22T12:00:00+00:00"' in html


def test_an_unknown_zone_is_utc() -> None:
    assert words.zone_of("Nowhere/Land") is UTC
    assert words.zone_of(None) is UTC


def test_conversations_are_grouped_by_the_persons_days() -> None:
    tokyo = words.zone_of("Asia/Tokyo")
    late = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)  # already the 22nd in Tokyo
    assert words.day_group(late, NOW, tokyo) == "Today"
    assert words.day_group(late, NOW, UTC) == "Yesterday"
    assert words.day_group(NOW - timedelta(days=4), NOW, UTC) == "This week"
    assert words.day_group(NOW - timedelta(days=20), NOW, UTC) == "This month"
    assert words.day_group(NOW - timedelta(days=60), NOW, UTC) == "September 2026"


def test_money_keeps_the_digits_that_matter() -> None:
    assert [words.money(x) for x in (0, 0.0042, 0.314, 1204.5)] == [
        "$0",
        "$0.0042",
        "$0.31",
        "$1,204.50",
    ]


def test_a_price_that_is_not_nothing_does_not_read_as_nothing() -> None:
    prices = (0, 0.0004, 0.00041, 0.004, 0.075, 0.25, 1.5, 1204.5)
    assert [words.price(x) for x in prices] == [
        "$0.00", "$0.0004", "$0.00041", "$0.004", "$0.075", "$0.25", "$1.50", "$1,204.50",
    ]  # fmt: skip
    assert [words.price(x, 3) for x in (0.025, 0.00005, 1.0)] == ["$0.025", "$0.00005", "$1.000"]


def test_free_text_stays_plain_in_markdown() -> None:
    said = words.in_markdown(
        "**Fast** [model](https://evil.test) www.evil.test a@b.test R&amp;D :smile:"
    )
    assert said.startswith(r"\*\*Fast\*\* \[model\]\(https\:")
    assert not re.search(r"://|www\\?\.|\w@|[^\\]&|[^\\]:", said)
    assert len(words.in_markdown("x" * 300)) == 240
    assert len(words.in_markdown("x" * 300, 1_000)) == 300


def test_a_permission_in_plain_words() -> None:
    assert words.permission("everyone") == "everyone"
    assert words.permission("user:ada@x.test", "ada@x.test") == "shared with you by name"
    assert words.permission("group:idp/Sales") == "Sales (group)"
    assert words.permission("group:con_1/wiki-readers") == "wiki-readers (group of the source)"
