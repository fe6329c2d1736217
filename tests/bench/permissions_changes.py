"""A stream of permission changes, each made through the product's own write path and looked at from outside.

After each change the people whom it touches ask for the changed document by its title: once while the index has not
followed yet (SQL already has it, so the re-check must hold), and once when it has. Then the results must also equal those of
the person's own index. How many of the revoked could find the document just before tells that the probes could see a leak.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.knowledge.embed import Vector
from tests.bench.permissions_desk import Desk
from tests.bench.permissions_rows import EVERYONE, Truth

MOVES = ("reader added", "reader removed", "readers replaced", "member moved", "group moved")
WEIGHTS = (5, 5, 2, 5, 3)
DOCUMENTS = 2
PEOPLE = 3


@dataclass
class Outcome:
    """`visible` of `revoked` probes found the document before they lost it; `stale` hits were stopped by the re-check."""

    changes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    probes: int = 0
    leaks: int = 0
    leaks_before_following: int = 0
    different: int = 0
    revoked: int = 0
    visible: int = 0
    granted: int = 0
    granted_found: int = 0
    stale: int = 0


@dataclass
class Stream:
    """`truth` is changed along with the product, and says what is right."""

    desk: Desk
    truth: Truth
    rng: random.Random
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._titles = {p.document_id: p.words.split("\n", 1)[0] for p in self.desk.points}
        self._vectors: dict[str, Vector] = {}

    def run(self, changes: int) -> Outcome:
        while self.outcome.changes < changes:
            self.step()
        return self.outcome

    def step(self) -> None:
        """One change with its probes."""
        before = self.truth.copy()
        kind = self.rng.choices(MOVES, WEIGHTS)[0]
        document = self._change(kind)
        if document is None and self.truth.members == before.members:
            return
        self.outcome.changes += 1
        self.outcome.kinds[kind] = self.outcome.kinds.get(kind, 0) + 1
        probes = self._probes(before, document)
        self._look_before(before, probes)
        if document is None:
            self.desk.set_groups(self.truth)
        else:
            self.desk.set_readers(document, self.truth.readers[document])
        self._look(probes, followed=False)
        self.desk.follower.follow()
        self._look(probes, followed=True)
        self._count_granted(before, probes)

    def _change(self, kind: str) -> str | None:
        """Changes the truth; returns the document, or None when groups changed or nothing did."""
        if kind in ("member moved", "group moved"):
            self._move("user:" if kind == "member moved" else "group:")
            return None
        document = self.rng.choice(sorted(self.truth.readers))
        readers = self.truth.readers[document]
        if kind == "reader added":
            readers |= {self._name()}
        elif kind == "reader removed":
            readers -= set(self.rng.sample(sorted(readers), min(1, len(readers))))
        else:
            readers = frozenset(self._name() for _ in range(self.rng.randint(0, 3)))
        if readers == self.truth.readers[document]:
            return None
        self.truth.set_readers(document, readers)
        return document

    def _move(self, prefix: str) -> None:
        """A person or a group leaves one group for another, wherever that leads: cycles are as good as any."""
        places = sorted(
            (group, member)
            for group, members in self.truth.members.items()
            for member in members
            if member.startswith(prefix)
        )
        if places:
            group, member = self.rng.choice(places)
            target = self.rng.choice(sorted(self.truth.members.keys() - {group}))
            self.truth.set_members(group, self.truth.members[group] - {member})
            self.truth.set_members(target, self.truth.members[target] | {member})

    def _name(self) -> str:
        kind = self.rng.random()
        if kind < 0.05:
            return EVERYONE
        if kind < 0.4:
            return f"user:{self.rng.choice(self.truth.people)}"
        return f"group:{self.rng.choice(sorted(self.truth.members))}"

    def _probes(self, before: Truth, document: str | None) -> list[tuple[str, str]]:
        """(person, document) pairs: who lost it, who won it, and one whom it should not touch."""
        documents = [document] if document else self._touched(before)
        pairs: list[tuple[str, str]] = []
        for each in documents:
            was, is_now = before.admitted(each), self.truth.admitted(each)
            for people in (was - is_now, is_now - was):
                some = self.rng.sample(sorted(people), min(PEOPLE, len(people)))
                pairs.extend((person, each) for person in some)
            pairs.append((self.rng.choice(self.truth.people), each))
        return pairs

    def _touched(self, before: Truth) -> list[str]:
        touched = [d for d in self.truth.readers if before.admitted(d) != self.truth.admitted(d)]
        chosen = self.rng.sample(touched, min(DOCUMENTS, len(touched)))
        return chosen or [self.rng.choice(sorted(self.truth.readers))]

    def _look_before(self, before: Truth, probes: Sequence[tuple[str, str]]) -> None:
        for person, document in probes:
            if person in before.admitted(document) - self.truth.admitted(document):
                self.outcome.revoked += 1
                self.outcome.visible += document in self._found(person, document)[0]

    def _look(self, probes: Sequence[tuple[str, str]], *, followed: bool) -> None:
        for person, document in probes:
            found, order, withheld = self._found(person, document)
            denied = {d for d in found if person not in self.truth.admitted(d)}
            self.outcome.probes += 1
            self.outcome.leaks += len(denied)
            if not followed:
                self.outcome.leaks_before_following += len(denied)
                self.outcome.stale += withheld > 0
                continue
            self.desk.own.hold(self.truth.permitted(person))
            title, vector = self._question(document)
            alone = self.desk.ask_own(title, vector)
            self.outcome.different += order != [p.chunk_id for p in alone.passages]

    def _count_granted(self, before: Truth, probes: Sequence[tuple[str, str]]) -> None:
        for person, document in probes:
            if person in self.truth.admitted(document) - before.admitted(document):
                self.outcome.granted += 1
                self.outcome.granted_found += document in self._found(person, document)[0]

    def _found(self, person: str, document: str) -> tuple[set[str], list[str], int]:
        title, vector = self._question(document)
        found = self.desk.ask(title, vector, self.desk.person(person))
        documents = {passage.document_id for passage in found.passages}
        return documents, [passage.chunk_id for passage in found.passages], found.withheld

    def _question(self, document: str) -> tuple[str, Vector]:
        title = self._titles[document]
        if title not in self._vectors:
            self._vectors[title] = self.desk.embedder.query(title)
        return title, self._vectors[title]
