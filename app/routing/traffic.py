"""What people really asked in the last month, looked at through the intents: what an edit would move, what no intent claims.

Counts are of everybody's questions; texts leave this module only for people who let admins read theirs, and never where
personal data or secrets were found in the question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select
from sqlmodel import col

from app.db import Database
from app.db.tables import ConversationRow, IntentCorrectionRow, QuestionSharingRow, TurnRow
from app.domain import Intent, now
from app.routing.classifier import Vector, in_context
from app.routing.edits import Edits
from app.routing.live import InForce, Intents
from app.routing.tie_break import is_close

MONTH = timedelta(days=30)
MOST = 1_000  # newest questions looked at; one takes some 10 ms to read for the first time
SHOWN = 5  # texts of a move
UNSURE = 0.5  # a probability below which a question is worth a look
ALIKE = 0.55  # mean cosine between two groups of questions that are about the same, judged by eye on MiniLM
FEWEST = 3  # questions of a cluster: as many as an intent needs


@dataclass(frozen=True, slots=True)
class Asked:
    """One question. `before` is the question before it in the conversation; `readable` says whether admins may read it."""

    turn_id: str
    text: str
    before: str
    readable: bool
    labelled: bool


@dataclass(frozen=True, slots=True)
class Move:
    """So many questions would go from one intent to another; `texts` are those of them that admins may read, at most five."""

    before: str
    after: str
    questions: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """`moves` are the largest first. `cut` says that there were more questions than are looked at. `ties` are the questions
    for which a model would be asked which of two intents it is: now, and with the edits."""

    questions: int
    moves: tuple[Move, ...]
    cut: bool
    ties: tuple[int, int] = (0, 0)

    @property
    def differ(self) -> int:
        return sum(move.questions for move in self.moves)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Questions that are about the same and that no intent claims with confidence; `nearest` is where most of them go."""

    questions: tuple[Asked, ...]
    nearest: str


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Of `questions`, so many are `unsure` and so many of these are `private`; clusters are of the others."""

    questions: int
    unsure: int
    private: int
    clusters: tuple[Cluster, ...]


def asked(database: Database, since: datetime | None = None) -> list[Asked]:
    """The newest questions of the last month, newest first: answered or not, without deleted chats and replaced turns."""
    since = since or now() - MONTH
    found = (
        select(
            col(TurnRow.id),
            col(TurnRow.question),
            col(TurnRow.conversation_id),
            col(TurnRow.position),
            col(QuestionSharingRow.allowed),
            col(IntentCorrectionRow.should_be),
            col(TurnRow.receipt)["protection"],
        )
        .join(ConversationRow, col(ConversationRow.id) == col(TurnRow.conversation_id))
        .outerjoin(QuestionSharingRow, col(QuestionSharingRow.person_id) == col(TurnRow.person_id))
        .outerjoin(IntentCorrectionRow, col(IntentCorrectionRow.turn_id) == col(TurnRow.id))
        .where(
            col(ConversationRow.deleted_at).is_(None),
            col(TurnRow.hidden_at).is_(None),
            col(TurnRow.started_at) >= since,
            col(TurnRow.status) != "running",
        )
        .order_by(col(TurnRow.started_at).desc(), col(TurnRow.id))
        .limit(MOST)
    )
    with database.read() as session:
        rows = session.execute(found).all()
    earlier = {(chat, position): text for _, text, chat, position, *_ in rows}
    return [
        Asked(
            turn_id=turn_id,
            text=text,
            before=earlier.get((chat, position - 1), ""),
            readable=bool(shares) and not (protection or {}).get("found"),
            labelled=said is not None,
        )
        for turn_id, text, chat, position, shares, said, protection in rows
    ]


def effect(database: Database, intents: Intents, edits: Edits) -> Effect:
    """Which of last month's questions would be for another intent if `edits` were published now. Trains, and reads questions
    that were not looked at before: seconds to a minute."""
    questions = asked(database)
    if not questions:
        return Effect(0, (), False)
    vectors = _vectors(intents, questions)
    current, edited = intents.now(), intents.preview(edits)
    moved: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    ties = [0, 0]
    for question, vector in zip(questions, vectors, strict=True):
        judged = [side.classifier.classify(question.text, vector) for side in (current, edited)]
        before, after = (intent.label for intent in judged)
        if before != after:
            moved[before, after].append(question)
        for i, (side, intent) in enumerate(zip((current, edited), judged, strict=True)):
            ties[i] += is_close(intent, side.table.tie_break)
    moves = [_move(before, after, those) for (before, after), those in moved.items()]
    moves.sort(key=lambda move: (-move.questions, move.before, move.after))
    return Effect(len(questions), tuple(moves), len(questions) == MOST, (ties[0], ties[1]))


def unclaimed(database: Database, intents: Intents) -> Unclaimed:
    """Last month's questions that no intent claims, or none with half a chance; the readable ones in clusters, largest first.
    What somebody labelled already is not among them."""
    questions = asked(database)
    if not questions:
        return Unclaimed(0, 0, 0, ())
    current = intents.now()
    unsure: list[tuple[Asked, Intent, Vector]] = []
    for question, vector in zip(questions, _vectors(intents, questions), strict=True):
        judged = current.classifier.classify(question.text, vector)
        if not question.labelled and is_unsure(judged):
            unsure.append((question, judged, vector))
    readable = [one for one in unsure if one[0].readable]
    clusters = [_cluster(current, [readable[i] for i in group]) for group in _groups(readable)]
    clusters.sort(key=lambda cluster: -len(cluster.questions))
    return Unclaimed(len(questions), len(unsure), len(unsure) - len(readable), tuple(clusters))


def is_unsure(judged: Intent) -> bool:
    return judged.chosen_by == "below threshold" or judged.score < UNSURE


def _vectors(intents: Intents, questions: Sequence[Asked]) -> Vector:
    return intents.vectors([in_context(one.text, one.before) for one in questions])


def _move(before: str, after: str, questions: Sequence[Asked]) -> Move:
    readable = dict.fromkeys(one.text for one in questions if one.readable)
    return Move(before, after, len(questions), tuple(readable)[:SHOWN])


def _groups(unsure: Sequence[tuple[Asked, Intent, Vector]]) -> list[list[int]]:
    vectors = np.asarray([vector for _, _, vector in unsure], dtype=np.float32)
    return [group for group in alike(vectors) if len(group) >= FEWEST]


def _cluster(current: InForce, members: Sequence[tuple[Asked, Intent, Vector]]) -> Cluster:
    """Its most typical question first."""
    vectors = np.asarray([vector for _, _, vector in members])
    order = np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
    names = [_likeliest(current, judged) for _, judged, _ in members]
    nearest = max(sorted(set(names)), key=names.count)
    return Cluster(tuple(members[int(i)][0] for i in order), current.table.entry(nearest).label)


def _likeliest(current: InForce, judged: Intent) -> str:
    fallback = current.table.fallback.name
    return judged.runner_up if judged.name == fallback else judged.name


def alike(vectors: Vector, least: float = ALIKE) -> list[list[int]]:
    """Groups of rows of `vectors` (n, d), each of length 1, by average linkage: the two groups with the highest mean cosine
    are joined while that is `least` or more (Lance and Williams, *The Computer Journal* 9, 1967). Takes n² memory."""
    n = len(vectors)
    groups = [[i] for i in range(n)]
    if n < 2:
        return groups
    mean = np.asarray(vectors @ vectors.T, dtype=np.float64)
    np.fill_diagonal(mean, -np.inf)
    sizes = np.ones(n)
    while True:
        a, b = divmod(int(mean.argmax()), n)
        if mean[a, b] < least:
            return [group for group in groups if group]
        joined = (sizes[a] * mean[a] + sizes[b] * mean[b]) / (sizes[a] + sizes[b])
        mean[a], mean[:, a] = joined, joined
        mean[a, a] = -np.inf
        mean[b], mean[:, b] = -np.inf, -np.inf
        sizes[a] += sizes[b]
        groups[a] += groups[b]
        groups[b] = []
