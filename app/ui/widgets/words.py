"""Times, money, counts and permissions in plain words. Plain functions, so that every page says the same thing the same way."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from html import escape
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from app.domain import EVERYONE

_ADDRESSES = re.compile(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)")
"""Where a word joiner, which nobody sees, keeps an address from becoming a link."""
DOTS = {
    "ok": ("green", "up to date"),
    "late": ("amber", "late"),
    "needs": ("red", "needs you"),
    "paused": ("grey", "paused"),
}


def zone_of(name: str | None) -> tzinfo:
    """The person's zone as the browser names it; UTC where it names none that this machine knows."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def ago(at: datetime, now: datetime) -> str:
    """`just now`, `4 min ago`, `in 3 days`; a date when it is more than a month away."""
    seconds = (now - at).total_seconds()
    size = abs(seconds)
    if size < 45:
        return "just now"
    for limit, unit, name in ((3570, 60, "min"), (84600, 3600, "h"), (30 * 86400, 86400, "day")):
        if size < limit:
            count = max(1, round(size / unit))
            words = f"{count} {name}{'s' if name == 'day' and count != 1 else ''}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return at.strftime("%-d %b %Y")


def exact(at: datetime, zone: tzinfo) -> str:
    """`22 Nov 2026, 14:05 CET`."""
    return at.astimezone(zone).strftime("%-d %b %Y, %H:%M %Z")


def time_html(at: datetime, zone: tzinfo, *, lead: str = "") -> str:
    """A time that the page's script turns into `4 min ago`; without it, and on hover, it is exact."""
    local = at.astimezone(zone)
    return (
        f'<time class="sb-ago" datetime="{at.astimezone(UTC).isoformat()}" '
        f'title="{exact(at, zone)}">{lead}{local.strftime("%-d %b, %H:%M")}</time>'
    )


def day_group(at: datetime, now: datetime, zone: tzinfo) -> str:
    """The heading of a conversation in the list."""
    day, today = at.astimezone(zone).date(), now.astimezone(zone).date()
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day > today - timedelta(days=7):
        return "This week"
    if day > today - timedelta(days=30):
        return "This month"
    return day.strftime("%B %Y")


def money(usd: float) -> str:
    """Dollars with the digits that matter: `$0`, `$0.0042`, `$0.31`, `$1,204.50`."""
    if usd == 0:
        return "$0"
    if abs(usd) < 0.01:
        return f"${usd:.4f}"
    return f"${usd:,.2f}"


def price(usd: float, digits: int = 2) -> str:
    """A price with so many digits, and more where it would read as nothing or half of it be lost: `$0.25`, `$0.0004`."""
    if not usd:
        return f"${usd:,.{digits}f}"
    needed = 1 - math.floor(math.log10(abs(usd)))
    if needed <= digits:
        return f"${usd:,.{digits}f}"
    return f"${f'{usd:.{needed}f}'.rstrip('0').ljust(digits + 2, '0')}"


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def milliseconds(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def count(number: int, one: str, many: str = "") -> str:
    """`1 source`, `3 sources`, `1,204 documents`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def permission(principal: str, email: str = "") -> str:
    """On what a document's permission rests, for the person with `email`."""
    if principal == EVERYONE:
        return "everyone"
    kind, _, rest = principal.partition(":")
    if kind == "user":
        return "shared with you by name" if rest == email else rest
    if kind == "all":
        return "readers of the source, narrowed by its restrictions"
    namespace, _, name = rest.partition("/")
    return f"{name} (group)" if namespace == "idp" else f"{name} (group of the source)"


def host_of(address: str) -> str:
    """Where a link goes, as people recognise it."""
    parts = urlsplit(address)
    return parts.hostname or (parts.path if parts.scheme == "mailto" else "")


def day(at: date) -> str:
    return at.strftime("%-d %b %Y")


def text(value: object) -> str:
    """Escaped for HTML, quotes included."""
    return escape(str(value), quote=True)


def in_markdown(value: str, most: int = 240) -> str:
    """The first characters as plain words in markdown, which also makes links of bare addresses."""
    plain = _ADDRESSES.sub("\u2060", " ".join(value.split())[:most])
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|<>~$:&" else c for c in plain)
