"""Days and months of the company's time zone: when they begin, when the next begins, and both in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

Period = Literal["day", "month"]


def starts(period: Period, at: datetime, zone: tzinfo) -> date:
    """The first day of the period that `at` lies in."""
    day = at.astimezone(zone).date()
    return day if period == "day" else day.replace(day=1)


def renews(period: Period, start: date) -> date:
    """The first day of the period after the one that begins on `start`."""
    if period == "day":
        return start + timedelta(days=1)
    return (start.replace(day=28) + timedelta(days=4)).replace(day=1)


def renewal_words(period: Period, start: date, zone: tzinfo) -> str:
    """`at midnight (Europe/Berlin)` or `on 1 December`, to follow "it renews"."""
    if period == "day":
        return f"at midnight ({zone})"
    day = renews(period, start)
    return f"on {day.day} {day:%B}"
