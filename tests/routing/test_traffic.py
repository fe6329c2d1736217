"""Last month's questions through the intents: what an edit moves, what no intent claims, and whose words are shown."""

from __future__ import annotations

import numpy as np

from app.db.tables import TurnRow
from app.routing.edits import Edits
from app.routing.traffic import Effect, Move, alike, asked, effect, unclaimed
from tests.routing.company import FILE, NEW, Company, either, embed, server

__all__ = ["either", "embed", "server"]

LUNCH = ("Is the canteen open for lunch?", "Is there vegan lunch in the canteen today?")
PARROTS = ("What do parrots eat?", "Which seeds do parrots eat?", "Do parrots eat apples?")
CANTEEN = Edits().add(FILE, "canteen", "Canteen", "general", NEW)


def test_an_edits_effect_is_counted_for_all_and_told_only_of_those_who_share(
    either: Company,
) -> None:
    desk = either
    assert effect(desk.database, desk.intents, CANTEEN) == Effect(0, (), False)
    for question in LUNCH:
        desk.asked(desk.ada, question)
    desk.asked(desk.admin, "My laptop does not start", "it_help")
    found = effect(desk.database, desk.intents, CANTEEN)
    assert found == Effect(3, (Move("Anything else", "Canteen", 2, ()),), False)
    desk.intents.corrections.share(desk.ada, True)
    (move,) = effect(desk.database, desk.intents, CANTEEN).moves
    assert sorted(move.texts) == sorted(LUNCH)
    assert desk.intents.now().version == 0
    assert desk.intents.versions.draft() is None
    assert effect(desk.database, desk.intents, Edits()).differ == 0


def test_what_no_intent_claims_is_clustered_where_it_may_be_read(either: Company) -> None:
    desk = either
    desk.intents.corrections.share(desk.ada, True)
    turns = [desk.asked(desk.ada, question) for question in PARROTS]
    desk.asked(desk.ada, "How do I reset my VPN token?", "it_help")
    desk.asked(desk.admin, "Why do parrots eat stones?")
    found = unclaimed(desk.database, desk.intents)
    assert (found.questions, found.unsure, found.private) == (5, 4, 1)
    (cluster,) = found.clusters
    assert {one.turn_id for one in cluster.questions} == set(turns)
    desk.intents.correct(desk.admin, turns[0], "time_off_benefits")
    assert unclaimed(desk.database, desk.intents).clusters == ()


def test_a_question_with_personal_data_is_never_shown(either: Company) -> None:
    desk = either
    desk.intents.corrections.share(desk.ada, True)
    turn = desk.asked(desk.ada, "Write to ann@example.test about my parrot")
    assert [one.readable for one in asked(desk.database)] == [True]
    with desk.database.write() as session:
        row = session.get(TurnRow, turn)
        assert row is not None
        row.receipt = {"protection": {"found": {"email": 1}}}
        session.add(row)
    assert [one.readable for one in asked(desk.database)] == [False]


def test_groups_are_joined_by_their_mean_and_not_by_one_link() -> None:
    """A chain of neighbours, each 25 degrees from the next, is not one group."""
    angles = np.radians([0, 25, 50, 75, 100, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    groups = sorted(sorted(group) for group in alike(vectors, 0.8))
    assert groups[-1] == [5]
    assert max(map(len, groups)) < 5
    assert alike(vectors[:1]) == [[0]]
    assert alike(vectors[:0]) == []
