"""A Switchboard without a browser: three documents with different readers, two scripted models, one event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import wiring
from app.chat import LiveTurn, TurnView
from app.domain import DataClass, Person, Role
from app.llm.scripted import ScriptedModel
from app.routing import ModelCard
from app.settings import Settings
from app.wiring import Services

DOCUMENTS = {
    "everyone/travel.md": "# Travel policy\n\nThe hotel limit in Lyon is 180 euros a night. Book through the travel desk.",
    "hr/bands.md": "# Salary bands\n\nThe salary band of a senior engineer in Lyon is 61,000 euros.",
}
ACCESS = {
    "everyone": "everyone = true\n",
    "hr": 'groups = ["hr"]\ndata_class = "restricted"\n',
}


@dataclass
class House:
    services: Services
    first: ScriptedModel
    second: ScriptedModel
    loop: asyncio.AbstractEventLoop

    def person(self, name: str, *groups: str, role: Role = Role.EMPLOYEE) -> Person:
        email = f"{name}@example.test"
        accounts = self.services.identity.accounts
        with self.services.database.write() as session:
            row = accounts.upsert(
                session,
                issuer="test",
                subject=name,
                email=email,
                name=name.title(),
                role=role,
                team="Sales",
                groups=groups,
            )
        person = accounts.person(row.id)
        assert person is not None
        return person

    def start(self, person: Person, text: str, **options: Any) -> LiveTurn:
        return self.services.turns.start(person, options.pop("chat", None), text, **options)

    def ask(self, person: Person, text: str, **options: Any) -> TurnView:
        live = self.start(person, text, **options)
        assert live.wait_done(90)
        return self.services.chats.turn(person, live.turn_id)

    def events(self, turn_id: str) -> list[dict[str, Any]]:
        found = (json.loads(line)["event"] for line in self.services.ledger.export())
        return [event for event in found if event["subject"] == turn_id]


def card(name: str, clearance: DataClass) -> ModelCard:
    return ModelCard(
        id=name,
        label=name.title(),
        provider="scripted",
        model_name=name,
        context_tokens=32_000,
        price_in=1.0,
        price_out=2.0,
        clearance=clearance,
        local=False,
    )


@contextmanager
def house(folder: Path, **changes: Any) -> Iterator[House]:
    """`changes` are settings."""
    documents = folder / "documents"
    for name, text in DOCUMENTS.items():
        path = documents / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, rule in ACCESS.items():
        (documents / name / "access.toml").write_text(f"[access]\n{rule}")
    settings = Settings(
        data_dir=folder / "data",
        demo=False,
        local_model=False,
        openai_api_key="",
        anthropic_api_key="",
        **changes,
    )
    services = wiring.build(settings)
    first, second = ScriptedModel("first"), ScriptedModel("second")
    services.catalogue.add(card("second", DataClass.INTERNAL), second, "openai")
    services.catalogue.add(card("first", DataClass.INTERNAL), first, "openai")
    connector = services.sync.add(None, "folder", "Papers", {"path": str(documents)}, 3600)
    assert services.sync.run_once(connector).status == "finished"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    services.turns.attach(loop, services.stages())
    try:
        yield House(services, first, second, loop)
    finally:
        asyncio.run_coroutine_threadsafe(services.turns.drain(5), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        services.close()
