"""Turns' stages for calls that are no traffic: the same models, rules and gates, with a health of their own.

What a rehearsal meets neither opens nor closes a circuit breaker that people's questions depend on, and a model that failed
for them a moment ago is rehearsed all the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from app.routing import Catalogue, Health
from app.stages import Stages


class _Apart:
    """A catalogue in all but its health."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.health = Health()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalogue, name)


def apart(stages: Stages) -> Stages:
    return replace(stages, catalogue=cast(Catalogue, _Apart(stages.catalogue)))
