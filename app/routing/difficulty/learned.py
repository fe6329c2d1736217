"""The learned scores of a running desk: trained in the background from recorded outcomes, kept in the database by version.

Off wherever it cannot be trusted: an intent without a tradeoff, fewer than two models with enough outcomes, stored weights that
are damaged or of another form. Then models are asked in the table's order, and `state` says why.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import DifficultyRow
from app.domain import now
from app.records import Ledger
from app.records.events import DifficultyLearned
from app.routing.difficulty.expectation import Expectation, State
from app.routing.difficulty.model import DifficultyModel, train
from app.routing.difficulty.outcomes import Outcome, outcomes
from app.routing.difficulty.stored import FORM, Unusable, pack, unpack
from app.routing.table import RouteEntry, RoutingTable, Tradeoff

Vector = NDArray[np.float32]

WINDOW = timedelta(days=90)  # older outcomes are forgotten
EVERY_S = 900.0
REREAD_S = 30.0  # another process's version is seen after this long
KEPT = 3  # versions of an intent
MORE = 1.1  # learned anew from a tenth more outcomes on, or when they have become fewer
PROBE = "The quick brown fox jumps over the lazy dog."
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    state: State
    model: DifficultyModel | None = None
    answer_tokens: Mapping[str, float] = field(default_factory=dict)


class LearnedScores:
    """Thread-safe. `table` names the intents that may ask for scores, drafts included; `embed` gives one text's vector of
    length 1, as a turn's own."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        table: Callable[[], RoutingTable],
        embed: Callable[[str], Vector],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._table = table
        self._embed = embed
        self._clock = clock
        self._lock = threading.Lock()
        self._form = ""
        self._ids: dict[str, str] = {}
        self._kept: dict[str, _Kept] = {}
        self._read_at: float | None = None
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, entry: RouteEntry, text: str, vector: Vector) -> Expectation | None:
        """None while the intent's scores are off."""
        if entry.difficulty is None:
            return None
        kept = self._current().get(entry.name)
        if kept is None or kept.model is None:
            return None
        return Expectation(
            kept.model.one(text, vector),
            kept.answer_tokens,
            entry.difficulty.worth_usd,
            kept.state.version,
        )

    def state(self, entry: RouteEntry) -> State:
        if entry.difficulty is None:
            return State(why_off="The route asks its models in their order.")
        kept = self._current().get(entry.name)
        if kept is not None:
            return kept.state
        found = outcomes(self._database, entry.name, self._clock() - WINDOW)
        counts = Counter(one.model for one in found)
        return State(outcomes=counts, why_off=_too_few(entry.difficulty, counts))

    def soon(self) -> None:
        """Something was drafted or published: the background looks now, not in a quarter of an hour."""
        self._due.set()

    def learn(self, entry: RouteEntry) -> bool:
        """Whether a new version was made and stored: there are enough outcomes of two models at least, and they are not about
        the same as those of the version in use."""
        if entry.difficulty is None:
            return False
        found = outcomes(self._database, entry.name, self._clock() - WINDOW)
        counts = Counter(outcome.model for outcome in found)
        enough = {m: n for m, n in sorted(counts.items()) if n >= entry.difficulty.least}
        if len(enough) < 2:
            self._retire(entry)
            return False
        used = self._current().get(entry.name)
        if used is not None and used.model is not None and not _news(used.state.outcomes, enough):
            return False
        used_rows = [outcome for outcome in found if outcome.model in enough]
        model = _trained(used_rows, tuple(enough), self._embed)
        return self._store(entry.name, model, enough, _answer_tokens(used_rows))

    def check(self) -> list[str]:
        """The intents that were learned anew just now."""
        return [entry.name for entry in self._table().entries if self.learn(entry)]

    def start(self, every_s: float = EVERY_S) -> None:
        """Reads the table and no more where no intent has a tradeoff."""
        if self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._run, args=(every_s,), name="difficulty", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended, after the intent it is at; harmless when it never started."""
        self._stopping.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, every_s: float) -> None:
        while not self._stopping.is_set():
            self._due.wait(every_s)
            self._due.clear()
            try:
                for entry in self._table().entries:
                    if self._stopping.is_set():
                        return
                    self.learn(entry)
            except SQLAlchemyError:
                # The database may be away for a moment; what is in use stays in use.
                log.exception("difficulty could not be learned")

    def _store(
        self,
        intent: str,
        model: DifficultyModel,
        counts: Mapping[str, int],
        answer_tokens: Mapping[str, float],
    ) -> bool:
        weights = pack(model)
        try:
            with self._database.write() as session:
                number = (_last_number(session, intent) or 0) + 1
                row = DifficultyRow(
                    intent=intent,
                    number=number,
                    form=self._own_form(),
                    outcomes=dict(counts),
                    answer_tokens=dict(answer_tokens),
                    weights=weights,
                    sha256=hashlib.sha256(weights).hexdigest(),
                    learned_at=self._clock(),
                )
                session.add(row)
                session.execute(
                    delete(DifficultyRow).where(
                        col(DifficultyRow.intent) == intent,
                        col(DifficultyRow.number) <= number - KEPT,
                    )
                )
                self._ledger.append(
                    session,
                    DifficultyLearned(
                        subject=row.id, intent=intent, version=number, outcomes=dict(counts)
                    ),
                )
        except IntegrityError:
            return False  # another process was quicker; its version is as good
        self._read_at = None
        return True

    def _retire(self, entry: RouteEntry) -> None:
        """Too few outcomes are left in the window: what was learned from older ones is not trusted for ever."""
        if entry.name not in self._current():
            return
        with self._database.write() as session:
            session.execute(delete(DifficultyRow).where(col(DifficultyRow.intent) == entry.name))
        self._read_at = None

    def _current(self) -> dict[str, _Kept]:
        """What is stored, by intent; a version is unpacked once."""
        at = time.monotonic()
        if self._read_at is not None and at - self._read_at <= REREAD_S:
            return self._kept
        with self._lock:
            newest = (
                select(col(DifficultyRow.intent), func.max(col(DifficultyRow.number)))
                .group_by(col(DifficultyRow.intent))
                .subquery()
            )
            joined = (newest.c[0] == col(DifficultyRow.intent)) & (
                newest.c[1] == col(DifficultyRow.number)
            )
            with self._database.read() as session:
                ids = session.execute(
                    select(col(DifficultyRow.intent), col(DifficultyRow.id)).join(newest, joined)
                ).all()
                fresh = [id for intent, id in ids if self._ids.get(intent) != id]
                rows = [session.get_one(DifficultyRow, id) for id in fresh]
                found = {row.intent: self._opened(row) for row in rows}
            self._kept = {i: found.get(i) or self._kept[i] for i, _ in ids}
            self._ids = dict(ids)
            self._read_at = at
        return self._kept

    def _opened(self, row: DifficultyRow) -> _Kept:
        problem, model = "", None
        if row.form != self._own_form():
            problem = "they are of another version of Switchboard or of the embedder"
        elif hashlib.sha256(row.weights).hexdigest() != row.sha256:
            problem = "they are damaged"
        else:
            try:
                model = unpack(row.weights)
            except Unusable as error:
                problem = str(error)
        if model is not None:
            state = State(row.number, row.learned_at, row.outcomes)
            return _Kept(state, model, row.answer_tokens)
        log.warning("stored difficulty ignored", intent=row.intent, version=row.number, why=problem)
        told = (
            f"The stored weights of version {row.number} are not used: {problem}. Models are asked in"
            " their order until it is learned again."
        )
        return _Kept(State(outcomes=row.outcomes, why_off=told))

    def _own_form(self) -> str:
        if not self._form:
            probe = np.round(self._embed(PROBE), 3)
            self._form = f"{FORM}:{hashlib.sha256(probe.tobytes()).hexdigest()[:16]}"
        return self._form


def _trained(
    found: Sequence[Outcome], models: Sequence[str], embed: Callable[[str], Vector]
) -> DifficultyModel:
    scores = {
        model: np.asarray([o.score if o.model == model else np.nan for o in found])
        for model in models
    }
    vectors = np.stack([embed(outcome.text) for outcome in found])
    return train([outcome.text for outcome in found], vectors, scores)


def _answer_tokens(found: Sequence[Outcome]) -> dict[str, float]:
    """The mean of what is known, by model; 0 where nothing is."""
    known: dict[str, list[int]] = {outcome.model: [] for outcome in found}
    for outcome in found:
        if outcome.answer_tokens:
            known[outcome.model].append(outcome.answer_tokens)
    return {model: sum(tokens) / max(len(tokens), 1) for model, tokens in known.items()}


def _news(before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    old, new = sum(before.values()), sum(after.values())
    return set(before) != set(after) or new >= old * MORE or new < old / MORE


def _too_few(tradeoff: Tradeoff, counts: Mapping[str, int]) -> str:
    if sum(n >= tradeoff.least for n in counts.values()) >= 2:
        return "There are enough judged answers; they are being learned from."
    return (
        f"Not enough outcomes yet: two models at least need {tradeoff.least} judged answers each; until then models are asked in"
        " their order."
    )


def _last_number(session: Session, intent: str) -> int | None:
    last: int | None = session.execute(
        select(func.max(col(DifficultyRow.number))).where(col(DifficultyRow.intent) == intent)
    ).scalar()
    return last
