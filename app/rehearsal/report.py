"""A rehearsal in figures, and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from app.rehearsal.golden import Golden
from app.rehearsal.measure import Side
from app.rehearsal.runs import Result
from app.spreadsheet import cell


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one side: medians over what was answered (characters, milliseconds), the mean groundedness in [0, 1], and the cost of
    everything in dollars. None where nothing can be said. `met` of `expected` sources and phrases were there; `forbidden`
    phrases were, too."""

    failed: int
    met: int
    expected: int
    forbidden: int
    characters: float | None
    grounded: float | None
    first_words_ms: float | None
    total_ms: float | None
    cost_usd: float


def why_stopped(results: Sequence[Result]) -> str:
    """Which budget had no room, of a rehearsal that stopped for that; empty if none is told."""
    for result in results:
        if result.verdict == "unpaid":
            return "; ".join(result.reasons)
        if result.opinion and result.opinion.unpaid:
            return result.opinion.error
    return ""


def figures(sides: Sequence[Side], goldens: Sequence[Golden]) -> Figures:
    answered = [side for side in sides if not side.error]
    return Figures(
        failed=len(sides) - len(answered),
        met=sum(len(side.sources_found) + len(side.said) for side in sides),
        expected=sum(len(golden.sources) + len(golden.must_say) for golden in goldens),
        forbidden=sum(len(side.said_in_spite) for side in sides),
        characters=_of(median, [float(len(side.answer)) for side in answered]),
        grounded=_of(fmean, [g for side in answered if (g := side.grounded) is not None]),
        first_words_ms=_of(
            median, [ms for side in answered if (ms := side.first_token_ms) is not None]
        ),
        total_ms=_of(median, [side.total_ms for side in answered]),
        cost_usd=sum(side.cost_usd for side in sides),
    )


def results_csv(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """One line a question; the published route's columns begin with `before_`, the draft's with `after_`. `titles` names the
    expected sources. The judge's columns are a model's opinion."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(_line(_NOTHING, {})), lineterminator="\r\n")
    writer.writeheader()
    for result in results:
        line = _line(result, titles)
        writer.writerow({k: cell(v) if isinstance(v, str) else v for k, v in line.items()})
    return out.getvalue()


def _line(result: Result, titles: Mapping[str, str]) -> dict[str, object]:
    opinion = result.opinion
    return {
        "question": result.golden.question,
        "verdict": result.verdict,
        "reasons": "; ".join(result.reasons),
        "judge_favours": opinion.favours if opinion else "",
        "judge_says": (opinion.error or opinion.says) if opinion else "",
        **dict(_side("before", result.before, titles)),
        **dict(_side("after", result.after, titles)),
    }


def _side(name: str, side: Side, titles: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    grounded = side.grounded
    values: dict[str, object] = {
        "model": side.model,
        "answer": side.answer,
        "error": side.error,
        "note": side.note,
        "sources": "; ".join(cited.title for cited in side.cited),
        "sources_missing": "; ".join(titles.get(s, s) for s in side.sources_missing),
        "unsaid": "; ".join(side.unsaid),
        "said_in_spite": "; ".join(side.said_in_spite),
        "grounded": "" if grounded is None else round(grounded, 3),
        "characters": len(side.answer),
        "first_token_ms": "" if side.first_token_ms is None else side.first_token_ms,
        "total_ms": side.total_ms,
        "cost_usd": side.cost_usd,
    }
    yield from ((f"{name}_{key}", value) for key, value in values.items())


def _of(measure: Callable[[list[float]], float], values: list[float]) -> float | None:
    return measure(values) if values else None


_NOTHING = Result("", Golden(""), Side(), Side(), "unknown", (), None)
