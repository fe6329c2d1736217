"""Swapping without fear: an intent's models, prompt and parameters change by a draft that is looked at, tried by some people,
and published or rolled back. `RouteVersions` keeps them, `dry_run` and `comparison` judge them, `CanaryWatch` guards them."""

from app.routing.swaps.comparison import Comparison, Margins, compare
from app.routing.swaps.draft import Draft
from app.routing.swaps.dry_run import DryRun, Spread, dry_run, spread
from app.routing.swaps.versions import RouteVersions
from app.routing.swaps.watch import CanaryWatch

__all__ = [
    "CanaryWatch",
    "Comparison",
    "Draft",
    "DryRun",
    "Margins",
    "RouteVersions",
    "Spread",
    "compare",
    "dry_run",
    "spread",
]
