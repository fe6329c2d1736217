"""What a draft would have done with the questions of the last week. No model is called, and no text is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from app.db import Database
from app.db.tables import RouteVersionRow, TurnRow
from app.domain import DataClass, Intent, Person, Usage, now
from app.errors import NoModel
from app.routing.catalogue import Catalogue
from app.routing.choice import ModelPolicy, choose
from app.routing.difficulty.expectation import Expectation
from app.routing.swaps.versions import RouteVersions
from app.routing.table import RouteEntry, RoutingTable

WEEK = timedelta(days=7)
MOST = 2_000
REFUSED = "refused"
Expected = Callable[[RouteEntry, str, str], Expectation | None]


def nothing_learned(_entry: RouteEntry, _text: str, _before: str) -> None:
    """Models are asked in their order."""


@dataclass(frozen=True, slots=True)
class Move:
    """So many questions would go from one model to another; `refused` stands for no model."""

    before: str
    after: str
    questions: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """Costs are US dollars, of the tokens that were used then at the prices of now. `left_out` counts, for each model and
    reason, the questions for which the draft would leave it out though it names it; `sent`, for each model, those that it
    would be asked first with the draft."""

    questions: int
    same: int
    moves: tuple[Move, ...]
    refused_before: int
    refused_after: int
    cost_before: float
    cost_after: float
    left_out: tuple[tuple[str, str, int], ...]
    since: datetime
    sent: tuple[tuple[str, int], ...] = ()

    @property
    def differ(self) -> int:
        return self.questions - self.same


@dataclass(frozen=True, slots=True)
class World:
    """What a dry run asks. `person` gives who asked as they are now, None for somebody who has left; `expected` what the
    learned scores say of a question, given with the one before it."""

    database: Database
    table: RoutingTable
    versions: RouteVersions
    catalogue: Catalogue
    policy: ModelPolicy
    person: Callable[[str], Person | None]
    clock: Callable[[], datetime] = now
    expected: Expected = nothing_learned


@dataclass(frozen=True, slots=True)
class Spread:
    """How many of `questions` would be sent to each model, the most first."""

    questions: int
    models: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Past:
    """A question of the last week; `before` is the one before it in the conversation."""

    turn: TurnRow
    before: str
    person: Person


def spread(world: World, version: RouteVersionRow, most: int = 100) -> Spread:
    """The newest questions of the version's intent of the last week, `most` of them, chosen for as in a dry run."""
    table = world.versions.with_version(world.table, version)
    past = _questions(world, version.intent, world.clock() - WEEK, most)
    models = Counter(_choose(world, table, one)[0] for one in past)
    return Spread(models.total(), tuple(models.most_common()))


def dry_run(world: World, version: RouteVersionRow) -> DryRun:
    """Chooses anew, with today's people, rules, prices and health, for each question of the version's intent of the last week
    (the newest 2,000), once as routes are now and once as they would be."""
    since = world.clock() - WEEK
    now_table = world.versions.with_version(world.table, world.versions.in_use(version.intent))
    then_table = world.versions.with_version(world.table, version)
    moves: Counter[tuple[str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    cost_before = cost_after = 0.0
    sent: Counter[str] = Counter()
    for one in _questions(world, version.intent, since, MOST):
        before, _ = _choose(world, now_table, one)
        after, reasons = _choose(world, then_table, one)
        moves[before, after] += 1
        sent[after] += 1
        left_out.update(reasons.items())
        cost_before += _cost(world.catalogue, before, one.turn)
        cost_after += _cost(world.catalogue, after, one.turn)
    return DryRun(
        questions=moves.total(),
        same=sum(count for (a, b), count in moves.items() if a == b),
        moves=tuple(Move(a, b, n) for (a, b), n in moves.most_common() if a != b),
        refused_before=sum(n for (a, _), n in moves.items() if a == REFUSED),
        refused_after=sum(n for (_, b), n in moves.items() if b == REFUSED),
        cost_before=round(cost_before, 6),
        cost_after=round(cost_after, 6),
        left_out=tuple((model, why, n) for (model, why), n in left_out.most_common()),
        since=since,
        sent=tuple(sent.most_common()),
    )


def _questions(world: World, intent: str, since: datetime, most: int) -> list[_Past]:
    """Newest first, without those of people who have left."""
    earlier = aliased(TurnRow)
    with world.database.read() as session:
        rows = session.execute(
            select(TurnRow, col(earlier.question))
            .outerjoin(
                earlier,
                and_(
                    col(earlier.conversation_id) == col(TurnRow.conversation_id),
                    col(earlier.position) == col(TurnRow.position) - 1,
                    col(earlier.hidden_at).is_(None),
                ),
            )
            .where(
                col(TurnRow.intent) == intent,
                col(TurnRow.started_at) >= since,
                col(TurnRow.status) != "running",
            )
            .order_by(col(TurnRow.started_at).desc())
            .limit(most)
        ).all()
    people = {id: world.person(id) for id in {turn.person_id for turn, _ in rows}}
    return [
        _Past(turn, before or "", person)
        for turn, before in rows
        if (person := people[turn.person_id]) is not None
    ]


def _choose(world: World, table: RoutingTable, one: _Past) -> tuple[str, dict[str, str]]:
    """The model, or `refused`, and why others that the table names were left out."""
    row = one.turn
    stored = row.receipt.get("route") or {}
    passages = row.receipt.get("passages") or []
    intent = Intent(row.intent, row.intent, 1.0, "", 0.0)
    try:
        route = choose(
            table,
            intent,
            one.person,
            DataClass(stored.get("data_class", DataClass.INTERNAL)),
            row.model_wish,
            world.catalogue,
            world.policy,
            needs_passages=bool(passages),
            prompt_tokens=int((row.receipt.get("usage") or {}).get("prompt_tokens") or 0),
            expected=world.expected(table.entry(row.intent), row.question, one.before),
        )
    except NoModel as error:
        return REFUSED, error.reasons
    return route.model, {d.label: d.reason for d in route.decisions if not d.allowed}


def _cost(catalogue: Catalogue, model: str, row: TurnRow) -> float:
    used = row.receipt.get("usage") or {}
    tokens = Usage(int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0))
    return 0.0 if model == REFUSED else catalogue.cost(model, tokens)
