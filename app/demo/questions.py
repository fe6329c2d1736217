"""What the demo people ask and where the answer stands, read from questions.toml; tests and benchmarks use it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.demo.people import load_people

QUESTIONS_FILE = Path(__file__).with_name("questions.toml")


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """`asker` and `denied` are e-mail addresses; `source` is relative to company/; `phrase` stands in the parsed document,
    white space aside."""

    asker: str
    text: str
    source: str
    phrase: str
    denied: tuple[str, ...]


def load_questions(path: Path = QUESTIONS_FILE) -> tuple[DemoQuestion, ...]:
    """Raises KeyError for a question that names nobody of the demo company."""
    addresses = {person.email.partition("@")[0]: person.email for person in load_people()}
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
    return tuple(
        DemoQuestion(
            asker=addresses[entry["asker"]],
            text=entry["text"],
            source=entry["source"],
            phrase=entry["phrase"],
            denied=tuple(addresses[name] for name in entry.get("denied", ())),
        )
        for entry in entries
    )
