"""Thousands of turns with faults at random: `python -m tests.bench.soak [--turns 2000] [--questions F.jsonl] [--faulty .35]`.

A whole Switchboard answers over three models behind a real HTTP server that speaks both wire formats. A share of the calls
goes wrong, each in one of the ways of the fault table; some questions carry personal data or secrets; some turns are stopped.
Time runs faster for the circuit breakers, so that they open and close many times.

At the end every turn must be answered, refused with a reason, interrupted with what had arrived, or stopped by its reader; the
money on receipts and in budgets of every scope must be the same to a millionth of a dollar; and no request that reached a model
may hold a word or a passage above its clearance. That is judged from what the server got, by what was put into the questions.
Questions are rows `{"text": …}`; without a file some are made up.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from app.chat.views import TurnView
from app.domain import Person
from tests.bench.soak_desk import SoakDesk, soak_desk
from tests.bench.soak_words import Asked, questions
from tests.servers.model_server import FAULTS

WELL = ("ok", "late", "no_usage", "length", "crumbs", "goes_on", "drips")
AT_ONCE = 16
STOPPED = 0.04
DONE_S = 60.0


@dataclass
class Soak:
    """What happened. `wrong` holds a sentence for everything that must not be."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    spent_micro: int = 0
    seconds: float = 0.0

    def figures(self) -> dict[str, float]:
        return {
            "turns": self.ends.total(),
            **{name: self.ends[name] for name in ("answered", "refused", "interrupted", "stopped")},
            "calls": self.calls,
            "faults": self.faults.total(),
            "spent_usd": round(self.spent_micro / 1_000_000, 6),
            "wrong": len(self.wrong),
            "seconds": round(self.seconds, 1),
        }


def run(folder: Path, turns: int, *, seed: int, faulty: float, texts: Sequence[str]) -> Soak:
    """`turns` questions, several at once, over a desk in `folder`; `faulty` of the models' calls go wrong."""
    soak, chance = Soak(), random.Random(seed)
    bad = sorted(set(FAULTS) - set(WELL))

    def behaves(_body: dict[str, object]) -> str:
        fault = chance.choice(bad) if chance.random() < faulty else "ok"
        if fault != "ok":
            soak.faults[fault] += 1
        return fault

    began = time.monotonic()
    with soak_desk(folder, behaves) as desk:
        people = [desk.person("ann"), desk.person("hugh", "hr")]
        asked = list(questions(turns, texts, seed))
        stops = [chance.random() < STOPPED for _ in asked]
        who = [people[number % 2] for number in range(turns)]
        with ThreadPoolExecutor(AT_ONCE) as readers:
            for said, view in readers.map(
                lambda job: _ask(desk, *job), zip(asked, who, stops, strict=True)
            ):
                end = _end(view)
                soak.ends[end] += 1
                soak.wrong += [f"{said.mark}: {fault}" for fault in _untidy(view, end)]
        soak.calls = len(desk.server.requests)
        soak.wrong += [*desk.unsettled(), *desk.money()]
        soak.wrong += _told_too_much(desk, asked)
        soak.spent_micro = desk.spent_micro()
    soak.seconds = time.monotonic() - began
    return soak


def _ask(desk: SoakDesk, said: Asked, person: Person, stop: bool) -> tuple[Asked, TurnView | None]:
    live = desk.house.start(person, said.text)
    if stop:
        live.wait(2, 1.0)
        desk.services.turns.stop(person, live.turn_id)
    if not live.wait_done(DONE_S):
        return said, None
    return said, desk.services.chats.turn(person, live.turn_id)


def _end(view: TurnView | None) -> str:
    if view is None:
        return "never ended"
    if view.status == "failed":
        return "interrupted" if view.answer else "refused"
    return {"finished": "answered", "stopped": "stopped"}.get(view.status, view.status)


def _untidy(view: TurnView | None, end: str) -> Iterator[str]:
    """What a turn's end lacks."""
    if view is None:
        yield f"not over after {DONE_S:.0f} seconds"
        return
    if end not in ("answered", "refused", "interrupted", "stopped"):
        yield f"ended as {end}"
    if end == "answered" and not view.answer.strip():
        yield "answered with nothing"
    if end in ("refused", "interrupted") and not view.error.strip():
        yield f"{end} without a reason"
    if view.receipt is None:
        yield "no receipt"


def _told_too_much(desk: SoakDesk, asked: Sequence[Asked]) -> Iterator[str]:
    """Requests in which a model was sent something above its clearance."""
    by_mark = {said.mark: said for said in asked}
    for body in desk.server.requests:
        clearance = desk.clearance(body["model"])
        sent = json.dumps(body["messages"], ensure_ascii=False) + json.dumps(body.get("system", ""))
        for secret, data_class in desk.papers.items():
            if secret in sent and data_class > clearance:
                yield f"{body['model']} was sent a passage of class {data_class.label}"
        for mark, said in by_mark.items():
            if mark in sent:
                yield from (
                    f"{mark}: {body['model']} {what}" for what in said.told(sent, clearance)
                )


def report(soak: Soak) -> None:
    for end, count in soak.ends.most_common():
        print(f"{end:<14}{count:>8,}")
    print(f"{'model calls':<14}{soak.calls:>8,}   of which went wrong: {soak.faults.total():,}")
    for sentence in soak.wrong[:20]:
        print(f"WRONG  {sentence}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--faulty", type=float, default=0.35, help="share of the models' calls")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--questions", type=Path, help='rows {"text": …}')
    options = parser.parse_args(arguments)
    texts: list[str] = []
    if options.questions:
        lines = options.questions.read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        soak = run(
            Path(folder), options.turns, seed=options.seed, faulty=options.faulty, texts=texts
        )
    report(soak)
    print(json.dumps(soak.figures()))
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
