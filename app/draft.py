"""What a turn has learned so far, kept so that one that is stopped or fails half-way still has an honest receipt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.access.sensitive import Placeholders, Screening
from app.budgets import Budgets
from app.domain import (
    DataClass,
    Finished,
    Found,
    Intent,
    ModelCall,
    ModelDecision,
    Part,
    Prompt,
    Protection,
    Receipt,
    Route,
    Stage,
    Usage,
)
from app.routing import Catalogue, Fitted, RouteEntry, form_for
from app.routing.spending import InPool, Purse
from app.routing.tie_break import Tie
from app.routing.voice import Attempt


@dataclass
class Draft:
    """What a turn has learned so far. `receipt()` can be asked at any moment."""

    turn_id: str
    parts: list[str] = field(default_factory=list)
    intent: Intent | None = None
    route: Route | None = None
    found: Found = field(default_factory=lambda: Found(searched=False))
    screening: Screening | None = None
    fitted: Fitted | None = None
    call: ModelCall | None = None
    clearances: dict[str, DataClass] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    prompt: Prompt | None = None
    attempts: list[Attempt] = field(default_factory=list)
    purse: Purse = field(default_factory=Purse)
    tie: Tie | None = None
    broken: RouteEntry | None = None  # the route that had no model left because one fails
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    stages: list[Stage] = field(default_factory=list)
    first_token_ms: float | None = None
    finished: Finished | None = None
    _started: float = field(default_factory=time.perf_counter)
    _mark: float = field(default_factory=time.perf_counter)

    def open_purse(self, budgets: Budgets, catalogue: Catalogue, in_pool: InPool) -> None:
        """From now on the turn may cost something. Before any thread works for it: whoever ends it closes this very purse."""
        self.purse = Purse(self.turn_id, budgets, catalogue, self.attempts, in_pool)

    def waited(self, seconds: float) -> None:
        """Time that was nobody's doing here is not measured."""
        self._started += seconds
        self._mark += seconds

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def placeholders(self) -> Placeholders:
        return self.screening.placeholders if self.screening else Placeholders()

    def sent(self, model: str) -> ModelCall | None:
        """The form of the call that a model of the route gets."""
        if self.call is None or model not in self.clearances:
            return None
        return form_for(self.call, self.clearances[model])

    def sent_class(self, model: str) -> DataClass:
        """The class of what a model of the route gets: the strictest of words and passages."""
        call = self.sent(model)
        if call is None:
            asked = self.screening.typed.data_class if self.screening else DataClass.INTERNAL
            return self.route.data_class if self.route else asked
        return max((call.data_class, *(passage.data_class for passage in call.passages)))

    def protection(self) -> Protection | None:
        """What the turn's protection did; None before anything was screened."""
        screening, fitted = self.screening, self.fitted
        if screening is None:
            return None
        call = self.sent(self.model or (self.route.model if self.route else ""))
        masked = call is not None and call is not self.call
        return Protection(
            question_class=screening.typed.data_class,
            found={kind.value: n for kind, n in screening.found.items()},
            masked={kind.value: n for kind, n in screening.mildest.hidden.items()}
            if masked
            else {},
            dropped=fitted.dropped if fitted else {},
            forgotten=fitted.forgotten if fitted else 0,
            trimmed=fitted.trimmed if fitted else 0,
            reason=fitted.reason if fitted else "",
        )

    def stage(self, name: str) -> None:
        """Closes the stage that ran since the last call."""
        at = time.perf_counter()
        self.stages.append(Stage(name, round((at - self._mark) * 1000, 2)))
        self._mark = at

    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 2)

    @property
    def model(self) -> str:
        """Who wrote the end of the answer, or was asked last."""
        wrote = [attempt for attempt in self.attempts if attempt.wrote]
        return (wrote or self.attempts)[-1].model if self.attempts else ""

    def settle(self, cost: Callable[[str, Usage], float]) -> None:
        """Adds up what the attempts used and cost in dollars, estimated where they did not say."""
        attempts = [*self.attempts, *(self.tie.attempts if self.tie else ())]
        for attempt in attempts:
            attempt.usage = attempt.used()
            if attempt.usage is not None:
                attempt.cost_usd = cost(attempt.model, attempt.usage)
        used = [attempt.usage for attempt in attempts if attempt.usage is not None]
        self.usage = Usage(
            sum(one.prompt_tokens for one in used),
            sum(one.completion_tokens for one in used),
            any(one.estimated for one in used),
            sum(one.cached_tokens for one in used),
            sum(one.cache_write_tokens for one in used),
        )
        self.cost_usd = round(sum(attempt.cost_usd for attempt in attempts), 8)

    def receipt(self) -> Receipt:
        answer = self.finished.answer if self.finished else None
        return Receipt(
            id=self.turn_id,
            intent=self.intent,
            route=self.purse.told(self.route),
            model=self.model,
            attempts=tuple(
                ModelDecision(a.model, a.label, not a.error, a.error or a.note or "answered")
                for a in self.attempts
            ),
            prompt_name=self.prompt.name if self.prompt else "",
            prompt_version=self.prompt.version if self.prompt else "",
            prompt_sha=self.prompt.sha if self.prompt else "",
            citations=answer.citations if answer else (),
            passages=self.found.passages,
            withheld=self.found.withheld,
            data_class=self.sent_class(self.model),
            usage=self.usage,
            cost_usd=self.cost_usd,
            stages=tuple(self.stages),
            first_token_ms=self.first_token_ms,
            total_ms=self.elapsed_ms(),
            protection=self.protection(),
            parts=tuple(Part(a.model, a.label, a.wrote) for a in self.attempts if a.wrote),
            first_sync=self.found.first_sync,
        )
