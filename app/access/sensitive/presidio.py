"""Microsoft Presidio behind the same protocol, for names of people and places. An extra: it brings spaCy and a language model.

It is asked only for what the own detector cannot find; kinds with a checksum are better told there.
"""

from __future__ import annotations

from typing import Any

from app.access.sensitive.findings import Finding, Kind
from app.errors import ConfigurationError

ENTITIES = {"PERSON": "name of a person", "LOCATION": "place"}
_LEAST_SCORE = 0.6


class PresidioDetector:
    def __init__(self, language: str = "en") -> None:
        """Loads its language model, which takes seconds. Raises ConfigurationError where the extra is not installed."""
        try:
            from presidio_analyzer import AnalyzerEngine
        except ImportError:
            raise ConfigurationError(
                "handling.toml asks for the detector presidio, which is not installed.",
                fix="pip install 'switchboard[presidio]', or take it out of `detectors`.",
            ) from None
        self._engine: Any = AnalyzerEngine()
        self._language = language

    def find(self, text: str) -> list[Finding]:
        results = self._engine.analyze(text=text, language=self._language, entities=list(ENTITIES))
        return [
            Finding(Kind.NAME, ENTITIES[result.entity_type], result.start, result.end)
            for result in results
            if result.score >= _LEAST_SCORE
        ]
