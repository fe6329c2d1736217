"""The model catalogue: what is configured, what an admin changed about it, how it is doing, what it costs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.db import Database
from app.db.tables import ModelSettingRow
from app.domain import DataClass, Json, Person, Usage, now
from app.errors import InputError, NotFound
from app.llm.model import ChatModel
from app.records import Ledger
from app.records.events import ModelChanged
from app.routing.adapters import build_adapter
from app.routing.cards import ALIASES, ModelCard, built_in
from app.routing.gate import Gate
from app.routing.health import Health
from app.settings import Settings

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

_REREAD_S = 5.0  # another process's change is seen after this long
_DEAREST = 10_000.0  # dollars per million tokens; a larger figure is a slip of the keyboard


class Catalogue:
    """Cards are cheap to ask for at any moment; an adapter is made when its model is first used. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ledger: Ledger,
        embed: Embed | None = None,
        *,
        health: Health | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._ledger = ledger
        self._embed = embed
        self.health = health or Health()
        self._built_in = built_in(settings)
        self._lock = threading.Lock()
        self._models: dict[str, Gate] = {}
        self._cards: dict[str, ModelCard] = {}
        self._read_at: float | None = None

    def cards(self) -> list[ModelCard]:
        """Every configured model as it now is, hosted ones first."""
        return list(self._current().values())

    def card(self, model_id: str) -> ModelCard:
        """Raises NotFound for a model that is not configured."""
        card = self._current().get(model_id)
        if card is None:
            raise NotFound(f"There is no model '{model_id}'.", fix="Choose one from the list.")
        return card

    def find(self, model_id: str) -> ModelCard | None:
        return self._current().get(model_id)

    def expand(self, name: str) -> list[ModelCard]:
        """The cards that a name in a routing table stands for: an alias's models, or one model."""
        current = self._current()
        if name in self._built_in:
            return [current[card.id] for card in self._built_in[name]]
        return [current[name]] if name in current else []

    def missing(self, name: str) -> tuple[str, str]:
        """Label and reason for a name that stands for nothing here."""
        return ALIASES.get(name, (name, "not configured"))

    def model(self, model_id: str) -> Gate:
        """The adapter, behind the gate that checks its clearance. Importing an SDK takes up to a second: call `warm` from a thread at start."""
        card = self.card(model_id)
        with self._lock:
            if model_id not in self._models:
                made = build_adapter(card, self._settings, self._embed)
                self._models[model_id] = self._gated(card.id, made)
            return self._models[model_id]

    def _gated(self, model_id: str, model: ChatModel) -> Gate:
        """The clearance is asked for at each call: an admin may have lowered it since the route was chosen."""
        return Gate(model, lambda: self.card(model_id).clearance)

    def add(self, card: ModelCard, model: ChatModel, alias: str) -> None:
        """A model of the caller's own, such as a scripted one in a test or an extension's, first under `alias`."""
        with self._lock:
            self._built_in[alias] = (card, *self._built_in.get(alias, ()))
            self._models[card.id] = self._gated(card.id, model)
            self._read_at = None

    def warm(self) -> None:
        """Makes the adapters of the enabled models, so that no question waits for an import."""
        for card in self.cards():
            if card.enabled:
                self.model(card.id)

    async def check(self, model_id: str) -> None:
        """A tiny real call, counted in the model's health. Raises ModelError with the cause."""
        model = await asyncio.to_thread(self.model, model_id)
        await model.check()
        self.health.succeeded(model_id)

    async def close(self) -> None:
        models = list(self._models.values())
        self._models.clear()
        await asyncio.gather(*(model.close() for model in models))

    def cost(self, model_id: str, usage: Usage) -> float:
        """US dollars of one call; 0 for a model that has left the catalogue."""
        card = self.find(model_id)
        if card is None:
            return 0.0
        spent = usage.prompt_tokens * card.price_in + usage.completion_tokens * card.price_out
        return round(spent / 1_000_000, 8)

    def change(
        self,
        actor: Person,
        model_id: str,
        *,
        enabled: bool | None = None,
        clearance: DataClass | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
    ) -> ModelCard:
        """Stores an admin's change (None leaves a value alone) and records it. The caller has asked Policy.administer.

        Raises NotFound for an unknown model, InputError for an impossible price.
        """
        self.card(model_id)
        for price in (price_in, price_out):
            if price is not None and not 0 <= price <= _DEAREST:
                raise InputError("A price is between 0 and 10,000 dollars per million tokens.")
        asked: Json = {
            "enabled": enabled,
            "clearance": None if clearance is None else int(clearance),
            "price_in": price_in,
            "price_out": price_out,
        }
        changed = {name: value for name, value in asked.items() if value is not None}
        if changed:
            self._store(actor, model_id, changed)
        return self.card(model_id)

    def _store(self, actor: Person, model_id: str, changed: Json) -> None:
        with self._database.write() as session:
            row = session.get(ModelSettingRow, model_id)
            if row is None:
                row = ModelSettingRow(model_id=model_id, version=0)
            for name, value in changed.items():
                setattr(row, name, value)
            row.version += 1
            row.changed_by, row.changed_at = actor.id, now()
            session.add(row)
            self._ledger.append(
                session, ModelChanged(actor=actor.id, subject=model_id, change=changed)
            )
        self._read_at = None

    def _current(self) -> dict[str, ModelCard]:
        at = time.monotonic()
        if self._read_at is None or at - self._read_at > _REREAD_S:
            cards = self._read()
            self._cards, self._read_at = cards, at
        return self._cards

    def _read(self) -> dict[str, ModelCard]:
        with self._database.read() as session:
            rows = {row.model_id: row for row in session.execute(select(ModelSettingRow)).scalars()}
        cards = (card for cards in self._built_in.values() for card in cards)
        return {card.id: _changed(card, rows.get(card.id)) for card in cards}


def _changed(card: ModelCard, row: ModelSettingRow | None) -> ModelCard:
    if row is None:
        return card
    return replace(
        card,
        enabled=card.enabled if row.enabled is None else row.enabled,
        clearance=card.clearance if row.clearance is None else DataClass(row.clearance),
        price_in=card.price_in if row.price_in is None else row.price_in,
        price_out=card.price_out if row.price_out is None else row.price_out,
    )
