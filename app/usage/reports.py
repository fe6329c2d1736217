"""What a person, a team lead or an admin reads about usage: figures with the period before, and series for charts.

Reads only the roll-ups. A team's numbers need the policy's yes, and reading them is itself an event. Persons are named only
where the group had at least five active people in the period; in the company's view that holds for each team by itself,
because otherwise the company's list would name the people whom the team's own view does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import EventRow, PersonRow, UsageRollupRow
from app.domain import Decision, Person, now
from app.errors import Denied, InputError
from app.records import Ledger
from app.records.events import AccessDenied, UsageRead
from app.records.ledger import canonical
from app.usage.rollups import RollUps
from app.usage.rows import Figures, Report, UsageRow, csv_text

SMALLEST_GROUP = 5
LONGEST_DAYS = 731
SAME_READING = timedelta(minutes=5)
"""A page re-reads its numbers at each click; within this time the same reading is one event."""

COMPANY = "company"
SMALL_TEAMS = "(teams of fewer than five active people)"
TOO_SMALL = (
    "Not broken down by person: fewer than five people were active in this period, "
    "and numbers about one person would be personal."
)
POOLED = "Teams with fewer than five active people are one line, so that nobody is singled out."


class UsagePolicy(Protocol):
    """The part of app.access.Policy that reports ask; None is the whole company."""

    def see_usage(self, person: Person, team: str | None) -> Decision: ...


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which rows a report is about: one person's, one team's or all."""

    team: str | None = None
    person_id: str | None = None

    def where(self, start: date, end: date) -> list[ColumnElement[bool]]:
        clauses = [col(UsageRollupRow.day) >= start, col(UsageRollupRow.day) <= end]
        if self.team is not None:
            clauses.append(col(UsageRollupRow.team) == self.team)
        if self.person_id is not None:
            clauses.append(col(UsageRollupRow.person_id) == self.person_id)
        return clauses


class Reports:
    """`start` and `end` are days in UTC, both included; the period before has the same length and ends the day before."""

    def __init__(
        self,
        database: Database,
        policy: UsagePolicy,
        ledger: Ledger,
        rollups: RollUps,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._policy = policy
        self._ledger = ledger
        self._rollups = rollups
        self._clock = clock

    def scopes(self, viewer: Person) -> tuple[str | None, ...]:
        """What the viewer may look at: None for the company first, then teams by name. May be empty."""
        self._rollups.refresh()
        with self._database.read() as session:
            known = session.scalars(select(col(PersonRow.team)).distinct()).all()
            seen = session.scalars(select(col(UsageRollupRow.team)).distinct()).all()
        teams = sorted({team for team in (*known, *seen) if team})
        return tuple(
            team for team in (None, *teams) if self._policy.see_usage(viewer, team).allowed
        )

    def team(self, viewer: Person, team: str | None, start: date, end: date) -> Report:
        """A team's numbers, or the company's for None. Raises Denied (recorded) and InputError for a bad period."""
        _check(start, end)
        self._require(viewer, team)
        report = self._report(_Scope(team=team), start, end)
        self._record_reading(viewer, team, start, end)
        return report

    def mine(self, person: Person, start: date, end: date) -> Report:
        """The person's own numbers, never broken down further by person."""
        _check(start, end)
        return self._report(_Scope(person_id=person.id), start, end)

    def export(self, viewer: Person, report: Report, series: str) -> str:
        """One series of a report as CSV. `series` is by_day, by_intent, by_model, by_person or by_team.

        Exporting others' numbers asks the policy again and is always recorded.
        """
        rows = report.series(series)
        if report.person_id is None:
            self._require(viewer, report.team)
            self._ledger.record(_event(viewer, report.team, report.start, report.end, True))
        elif report.person_id != viewer.id:
            raise Denied("These are somebody else's numbers.", reason="not the viewer's own report")
        return csv_text(rows)

    def admit(
        self, viewer: Person, team: str, start: date, end: date, *, exported: bool = False
    ) -> None:
        """Before numbers of a team that are kept elsewhere are read: asks the policy, records the reading. Raises Denied."""
        self._require(viewer, team)
        if exported:
            self._ledger.record(_event(viewer, team, start, end, True))
        else:
            self._record_reading(viewer, team, start, end)

    def nameable(
        self, viewer: Person, team: str, since: date, among: Collection[str]
    ) -> dict[str, str]:
        """Names by id of those of `among` who are of this team and have been active in it since; nobody where they are fewer
        than five. Raises Denied."""
        self._require(viewer, team)
        self._rollups.refresh()
        active = select(col(UsageRollupRow.person_id)).where(
            col(UsageRollupRow.team) == team, col(UsageRollupRow.day) >= since
        )
        with self._database.read() as session:
            members = session.execute(
                select(col(PersonRow.id), col(PersonRow.name)).where(
                    col(PersonRow.team) == team, col(PersonRow.id).in_(active)
                )
            ).all()
        found = {id: name for id, name in members if id in among}
        return found if len(found) >= SMALLEST_GROUP else {}

    def _report(self, scope: _Scope, start: date, end: date) -> Report:
        self._rollups.refresh()
        length = end - start + timedelta(days=1)
        with self._database.read() as session:
            figures = _figures(session, scope, start, end)
            whole_company = scope.team is None and scope.person_id is None
            by_person, note = _by_person(session, scope, start, end, figures.active_people)
            return Report(
                team=scope.team,
                person_id=scope.person_id,
                start=start,
                end=end,
                as_of=self._rollups.as_of or self._clock(),
                figures=figures,
                previous=_figures(session, scope, start - length, end - length),
                by_day=_by_day(session, scope, start, end),
                by_intent=_grouped(session, scope, start, end, col(UsageRollupRow.intent)),
                by_model=_grouped(session, scope, start, end, col(UsageRollupRow.model)),
                by_person=by_person,
                by_person_note=note,
                by_team=_grouped(session, scope, start, end, col(UsageRollupRow.team))
                if whole_company
                else (),
            )

    def _require(self, viewer: Person, team: str | None) -> None:
        decision = self._policy.see_usage(viewer, team)
        if decision.allowed:
            return
        self._ledger.record(
            AccessDenied(
                actor=viewer.id,
                subject=_name(team),
                action="see_usage",
                reason=decision.reason,
                policy=decision.policy,
            )
        )
        raise Denied("You may not see these numbers.", reason=decision.reason)

    def _record_reading(self, viewer: Person, team: str | None, start: date, end: date) -> None:
        event = _event(viewer, team, start, end, False)
        body = canonical(event)
        with self._database.read() as session:
            known = session.execute(
                select(col(EventRow.seq))
                .where(
                    col(EventRow.actor) == viewer.id,
                    col(EventRow.type) == event.type,
                    col(EventRow.at) > self._clock() - SAME_READING,
                    col(EventRow.body) == body,
                )
                .limit(1)
            ).first()
        if known is None:
            self._ledger.record(event)


def _event(viewer: Person, team: str | None, start: date, end: date, exported: bool) -> UsageRead:
    name = _name(team)
    return UsageRead(
        actor=viewer.id, subject=name, team=name, period=f"{start}..{end}", exported=exported
    )


def _check(start: date, end: date) -> None:
    if end < start:
        raise InputError("The period ends before it begins.", fix="Choose another period.")
    if (end - start).days >= LONGEST_DAYS:
        raise InputError("The period is longer than two years.", fix="Choose a shorter period.")


def _sums() -> list[ColumnElement[Any]]:
    """In the order of UsageRow.of's arguments after the name."""
    return [
        func.coalesce(func.sum(column), 0)
        for column in (
            col(UsageRollupRow.questions),
            col(UsageRollupRow.stopped),
            col(UsageRollupRow.failed),
            col(UsageRollupRow.with_sources),
            col(UsageRollupRow.thumbs_up),
            col(UsageRollupRow.thumbs_down),
            col(UsageRollupRow.actions),
            col(UsageRollupRow.cost_usd),
            col(UsageRollupRow.prompt_tokens),
            col(UsageRollupRow.completion_tokens),
        )
    ]


def _figures(session: Session, scope: _Scope, start: date, end: date) -> Figures:
    people, *sums = session.execute(
        select(func.count(col(UsageRollupRow.person_id).distinct()), *_sums()).where(
            *scope.where(start, end)
        )
    ).one()
    return Figures(people, UsageRow.of("", "", *sums))


def _grouped(
    session: Session, scope: _Scope, start: date, end: date, key: Mapped[str]
) -> tuple[UsageRow, ...]:
    """Most questions first."""
    statement = select(key, *_sums()).where(*scope.where(start, end)).group_by(key)
    rows = [UsageRow.of(name, name, *sums) for name, *sums in session.execute(statement)]
    return tuple(sorted(rows, key=lambda row: (-row.questions, row.name)))


def _by_day(session: Session, scope: _Scope, start: date, end: date) -> tuple[UsageRow, ...]:
    """Every day of the period, the quiet ones with zeros."""
    day = col(UsageRollupRow.day)
    statement = select(day, *_sums()).where(*scope.where(start, end)).group_by(day)
    sums = {row[0]: row[1:] for row in session.execute(statement)}
    days = (start + timedelta(days=n) for n in range((end - start).days + 1))
    return tuple(UsageRow.of(str(d), str(d), *sums.get(d, (0,) * 10)) for d in days)


def _by_person(
    session: Session, scope: _Scope, start: date, end: date, active: int
) -> tuple[tuple[UsageRow, ...], str]:
    if scope.person_id is not None:
        return (), ""
    if active < SMALLEST_GROUP:
        return (), TOO_SMALL
    team, person = col(UsageRollupRow.team), col(UsageRollupRow.person_id)
    found = session.execute(
        select(team, person, *_sums()).where(*scope.where(start, end)).group_by(team, person)
    ).all()
    members: dict[str, set[str]] = {}
    for row in found:
        members.setdefault(row[0], set()).add(row[1])
    merged: dict[str, list[float]] = {}
    for team_name, person_id, *sums in found:
        key = person_id if len(members[team_name]) >= SMALLEST_GROUP else ""
        totals = merged.setdefault(key, [0] * len(sums))
        merged[key] = [a + b for a, b in zip(totals, sums, strict=True)]
    names = _names(session, merged)
    rows = [
        UsageRow.of(key, names.get(key, key) if key else SMALL_TEAMS, *sums)
        for key, sums in merged.items()
    ]
    rows.sort(key=lambda row: (not row.key, -row.questions, row.name))
    return tuple(rows), POOLED if "" in merged else ""


def _names(session: Session, ids: dict[str, list[float]]) -> dict[str, str]:
    rows = session.execute(select(col(PersonRow.id), col(PersonRow.name))).all()
    return {row[0]: row[1] for row in rows if row[0] in ids}


def _name(team: str | None) -> str:
    return COMPANY if team is None else team
