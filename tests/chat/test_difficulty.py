"""Difficulty from end to end: people's thumbs are learned from, and the next question's receipt says who answers and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.domain import Role
from app.routing import RoutingTable
from app.routing.table import Tradeoff
from tests.chat.house import house


def test_thumbs_teach_the_desk_which_model_to_ask(tmp_path: Path) -> None:
    with house(tmp_path) as desk:
        services, ann = desk.services, desk.person("ann")
        noor = desk.person("noor", role=Role.ADMIN)
        services.catalogue.change(noor, "first", price_in=10.0, price_out=30.0)
        tradeoff = Tradeoff(worth_usd=0.05, least=10)
        entries = tuple(
            e.model_copy(update={"difficulty": tradeoff}) for e in services.table.entries
        )
        routes = RoutingTable(entries, services.table.threshold)
        routed = replace(services.intents.now(), table=routes)
        services.turns.attach(desk.loop, replace(services.stages(), intents=lambda: routed))

        asked = "What is the hotel limit in {}?"
        turn = desk.ask(ann, asked.format("Lyon"))
        assert turn.receipt is not None
        assert turn.receipt.intent is not None
        assert turn.receipt.model == "first"  # nothing is known yet
        entry = routes.entry(turn.receipt.intent.name)
        for number in range(10):
            for model in ("first", "second"):
                judged = desk.ask(ann, asked.format(f"town {number}"), model_wish=model)
                services.chats.feedback(ann, judged.id, 1)
        assert services.difficulty.learn(entry)

        receipt = desk.ask(ann, asked.format("Leeds")).receipt
        assert receipt is not None
        assert receipt.route is not None
        assert (receipt.model, receipt.route.fallbacks[0]) == ("second", "first")
        assert "Second (expected score" in receipt.route.reason
        reasons = {d.model: d.reason for d in receipt.route.decisions}
        assert "expected score" in reasons["first"]
        chosen = [e for e in desk.events(receipt.id) if e["type"] == "route_chosen"]
        assert chosen[0]["reason"] == receipt.route.reason
