"""Money as whole micro-dollars, so that sums of thousands of calls are exact. A dollar a million tokens is one a token."""

from __future__ import annotations

import math

MICRO = 1_000_000
LARGEST_USD = 1_000_000_000.0
"""Of a budget's limit."""
MOST = 2**61
"""Micro-dollars that can be stored, and added up with others, in 64 bits. No limit comes near it."""


def micro(usd: float) -> int:
    """To the nearest micro-dollar."""
    return round(usd * MICRO)


def micro_up(usd_per_million: float, tokens: int) -> int:
    """What `tokens` cost at most, in micro-dollars; `MOST` for an absurd price."""
    cost = min(usd_per_million * tokens, float(MOST))
    return math.ceil(round(cost, 6))


def usd(amount: int) -> float:
    return amount / MICRO


def words(amount: int) -> str:
    """`$1,250.00`; below ten cents with as many places as it needs to be seen."""
    dollars = amount / MICRO
    if 0 < abs(dollars) < 0.1:
        return f"${dollars:.6f}".rstrip("0")
    return f"${dollars:,.2f}"
