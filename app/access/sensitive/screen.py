"""One turn's own words, looked at before anything is sent: what is in them, how sensitive that makes them, and the same words
with placeholders for models that are not cleared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.access.sensitive.detect import OwnDetector
from app.access.sensitive.findings import Detector, Finding, Kind, settled
from app.access.sensitive.handling import Handling
from app.access.sensitive.placeholders import Placeholders
from app.domain import DataClass, Exchange


@dataclass(frozen=True, slots=True)
class Wording:
    """One form of the words. `hidden` says how many values of each kind are placeholders in it."""

    question: str
    history: tuple[Exchange, ...]
    data_class: DataClass
    hidden: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class Screening:
    """`wordings` from the strictest (as typed) to the mildest; `found` counts by kind, never values. An exchange of the
    history carries its own class; `Wording.data_class` is the question's alone."""

    wordings: tuple[Wording, ...]
    found: Mapping[Kind, int]
    placeholders: Placeholders
    raising: frozenset[Kind] = frozenset()
    """Kinds in the question that no placeholder may stand for."""

    @property
    def typed(self) -> Wording:
        return self.wordings[0]

    @property
    def mildest(self) -> Wording:
        return self.wordings[-1]


class Screen:
    """Thread-safe; one for the process."""

    def __init__(self, handling: Handling | None = None) -> None:
        """Raises ConfigurationError for a policy that cannot be used, or a detector that is not installed."""
        self.handling = handling or Handling.load()
        self._detectors = tuple(_detector(name) for name in self.handling.detectors)

    def look(
        self, question: str, history: Sequence[Exchange] = (), avoid: Sequence[str] = ()
    ) -> Screening:
        """`avoid` are other texts of the prompt, whose own brackets no placeholder may equal."""
        texts = [question, *(t for past in history for t in (past.question, past.answer))]
        found = [self._find(text) for text in texts]
        counts = Counter(f.kind for findings in found for f in findings)
        typed = Wording(
            question, self._classed(history, found, masked=False), self._class(found[0]), {}
        )
        raising = frozenset(f.kind for f in found[0]) - self.handling.hidden
        if not counts.keys() & self.handling.hidden:
            return Screening((typed,), counts, Placeholders(), raising)
        placeholders = Placeholders((*texts, *avoid))
        masked = [self._mask(t, f, placeholders) for t, f in zip(texts, found, strict=True)]
        pairs = zip(
            self._classed(history, found, masked=True), masked[1::2], masked[2::2], strict=True
        )
        mild = Wording(
            masked[0],
            tuple(replace(past, question=q, answer=a) for past, q, a in pairs),
            self._class(found[0], masked=True),
            {kind: n for kind, n in counts.items() if kind in self.handling.hidden},
        )
        return Screening((typed, mild), counts, placeholders, raising)

    def _find(self, text: str) -> list[Finding]:
        if len(self._detectors) == 1:
            return self._detectors[0].find(text)
        return settled(f for detector in self._detectors for f in detector.find(text))

    def _class(self, findings: Sequence[Finding], *, masked: bool = False) -> DataClass:
        classes = (
            self.handling.kinds[f.kind].data_class
            for f in findings
            if not (masked and f.kind in self.handling.hidden)
        )
        return max((self.handling.question, *classes))

    def _classed(
        self, history: Sequence[Exchange], found: Sequence[list[Finding]], *, masked: bool
    ) -> tuple[Exchange, ...]:
        """Each exchange with the strictest of what it was and what its words make it."""
        own = (
            self._class([*q, *a], masked=masked)
            for q, a in zip(found[1::2], found[2::2], strict=True)
        )
        return tuple(
            replace(past, data_class=max(past.data_class, level))
            for past, level in zip(history, own, strict=True)
        )

    def _mask(self, text: str, findings: Sequence[Finding], placeholders: Placeholders) -> str:
        return placeholders.hide(text, [f for f in findings if f.kind in self.handling.hidden])


def _detector(name: str) -> Detector:
    if name == "presidio":
        from app.access.sensitive.presidio import PresidioDetector

        return PresidioDetector()
    return OwnDetector()
