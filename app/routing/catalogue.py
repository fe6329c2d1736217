"""The model catalogue: what is configured, what an admin changed about it, how it is doing, what it costs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.budgets import money
from app.db import Database
from app.db.tables import ModelSettingRow
from app.domain import DataClass, Person, Usage, now
from app.errors import InputError, NotFound
from app.llm.checks import Check
from app.llm.model import ChatModel
from app.records import Ledger
from app.records.events import ModelChanged
from app.routing.adapters import build_adapter, given_keys
from app.routing.added import AddedModels, NewModel
from app.routing.cards import ALIASES, ModelCard, built_in
from app.routing.examination import answers, examined
from app.routing.gate import Gate
from app.routing.health import Health
from app.routing.keyring import Keyring, typed
from app.routing.keys import KeyPool
from app.routing.labels import checked_label
from app.routing.limits import Limits
from app.routing.overrides import checked, laid_over
from app.routing.prices import cost_micro
from app.sealing import open_sealer
from app.settings import Settings

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

Made = tuple[str, str, str, bool, tuple[str, ...]]
"""What an adapter was made of: account, model, label, tick, stored keys. Another one is made when that changes."""
OWN: Made = ("", "", "", False, ())
_REREAD_S = 5.0  # another process's change is seen after this long


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
        self.limits = Limits()
        self.pool = KeyPool()
        self.keyring = Keyring(database, ledger, open_sealer(settings), given_keys(settings))
        self._added = AddedModels(database, ledger)
        self._built_in = built_in(settings)
        self._lock = threading.Lock()
        self._models: dict[str, tuple[Made, Gate]] = {}
        self._key_ids: dict[str, tuple[str, ...]] = {}
        self._outdated: list[Gate] = []
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
            configured = [current[card.id] for card in self._built_in[name] if card.id in current]
            added = [card for card in current.values() if card.added and card.provider == name]
            return [*configured, *added]
        return [current[name]] if name in current else []

    def missing(self, name: str) -> tuple[str, str]:
        """Label and reason for a name that stands for nothing here."""
        return ALIASES.get(name, (name, "not configured"))

    def model(self, model_id: str) -> Gate:
        """The adapter, behind the gate that checks its clearance. Importing an SDK takes up to a second: call `warm` from a thread at start."""
        card = self.card(model_id)
        key_ids = self._key_ids.get(card.account, ())
        made_of = (card.account, card.model_name, card.label, card.inside, key_ids)
        with self._lock:
            known = self._models.get(model_id)
            if known is not None and known[0] in (made_of, OWN):
                return known[1]
            if known is not None:  # answers that are under way finish with it
                self._outdated.append(known[1])
            keys = self.keyring.keys(card.account)
            made = build_adapter(card, self._settings, self._embed, keys, self.pool)
            self._models[model_id] = (made_of, self._gated(card.id, made))
            return self._models[model_id][1]

    def _gated(self, model_id: str, model: ChatModel) -> Gate:
        """The clearance is asked for at each call: an admin may have lowered it since the route was chosen."""
        return Gate(
            model,
            lambda: self.card(model_id).clearance,
            lambda: self.limits.call(self.card(model_id)),
        )

    def add(self, card: ModelCard, model: ChatModel, alias: str) -> None:
        """A model of the caller's own, such as a scripted one in a test or an extension's, first under `alias`."""
        with self._lock:
            self._built_in[alias] = (card, *self._built_in.get(alias, ()))
            self._models[card.id] = (OWN, self._gated(card.id, model))
            self._read_at = None

    def warm(self) -> None:
        """Makes the adapters of the enabled models, so that no question waits for an import."""
        for card in self.cards():
            if card.offered:
                self.model(card.id)

    async def check(self, model_id: str) -> None:
        """A tiny real call, counted in the model's health. Raises ModelError with the cause."""
        model = await asyncio.to_thread(self.model, model_id)
        await model.check()
        self.health.succeeded(model_id)

    async def examine(self, model_id: str) -> tuple[Check, ...]:
        """Separate checks of what may stand between us and its answers; one that answers counts in its health."""
        model = await asyncio.to_thread(self.model, model_id)
        keys = await asyncio.to_thread(self.keyring.keys, self.card(model_id).account)
        checks = await examined(model.inner, {key.id: key.ending for key in keys})
        if answers(checks):
            self.health.succeeded(model_id)
        return checks

    async def try_out(self, new: NewModel, key: str = "") -> tuple[Check, ...]:
        """The same of a model that is not added, with the key of its form or those of its account; nothing is stored. Raises
        InputError."""
        card = await asyncio.to_thread(self._added.card_of, new)
        stored = await asyncio.to_thread(self.keyring.keys, card.account)
        keys = [typed(key)] if key.strip() else stored
        model = await asyncio.to_thread(
            build_adapter, card, self._settings, self._embed, keys, KeyPool()
        )
        try:
            return await examined(model, {key.id: key.ending for key in keys})
        finally:
            await model.close()

    async def close(self) -> None:
        with self._lock:
            models = [*self._outdated, *(model for _, model in self._models.values())]
            self._models.clear()
            self._outdated.clear()
        await asyncio.gather(*(model.close() for model in models))

    def cost(self, model_id: str, usage: Usage) -> float:
        """US dollars of one call, to the micro-dollar; 0 for a model that has left the catalogue."""
        card = self.find(model_id)
        return money.usd(cost_micro(card, usage)) if card else 0.0

    def change(
        self,
        actor: Person,
        model_id: str,
        *,
        label: str | None = None,
        enabled: bool | None = None,
        clearance: DataClass | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
        context_tokens: int | None = None,
        region: str | None = None,
        audience: Sequence[str] | None = None,
        per_minute: int | None = None,
        at_once: int | None = None,
        retired_on: date | None = None,
        inside: bool | None = None,
        free: bool | None = None,
    ) -> ModelCard:
        """Stores an admin's change (None leaves a value alone) and records it. The caller has asked Policy.administer.

        A model is restored by a date of retirement in the far future, `NEVER`. Raises NotFound for an unknown model,
        InputError for an impossible name, price, limit or audience.
        """
        self.card(model_id)
        if label is not None:
            label = checked_label(label, self._labels(but=model_id).values())
        changed = checked(
            {
                "label": label,
                "enabled": enabled,
                "clearance": clearance,
                "price_in": price_in,
                "price_out": price_out,
                "context_tokens": context_tokens,
                "region": region,
                "audience": audience,
                "per_minute": per_minute,
                "at_once": at_once,
                "retired_on": retired_on,
                "inside": inside,
                "free": free,
            }
        )
        if changed:
            self._store(actor, model_id, changed)
        return self.card(model_id)

    def add_model(self, actor: Person, new: NewModel, key: str = "") -> str:
        """Adds a model of an admin's, with a key for its account if one is given that it has not yet, and returns its id.
        Raises InputError."""
        model_id = self._added.add(actor, new, self._labels())
        self._read_at = None
        if key.strip() and not self.keyring.holds(self.card(model_id).account, key):
            try:
                self.add_key(actor, self.card(model_id).account, key)
            except InputError:
                self.remove_model(actor, model_id)
                raise
        return model_id

    def remove_model(self, actor: Person, model_id: str) -> None:
        """Takes an added model away; keys that no other model uses go with it. Raises NotFound."""
        card = self.card(model_id)
        self._added.remove(actor, model_id)
        self._read_at = None
        if card.base_url and all(other.account != card.account for other in self.cards()):
            for key in self.keyring.stored(card.account):
                self.keyring.remove(actor, key.id)

    def add_key(self, actor: Person, account: str, secret: str) -> str:
        """Raises InputError."""
        key_id = self.keyring.add(actor, account, secret)
        self._read_at = None
        return key_id

    def remove_key(self, actor: Person, key_id: str) -> None:
        """Raises NotFound."""
        self.keyring.remove(actor, key_id)
        self._read_at = None

    def _labels(self, but: str = "") -> dict[str, str]:
        """Model id to what people see, read anew: another process may have added one a moment ago."""
        return {card.id: card.label for card in self._read().values() if card.id != but}

    def _store(self, actor: Person, model_id: str, changed: dict[str, Any]) -> None:
        with self._database.write() as session:
            row = session.get(ModelSettingRow, model_id)
            if row is None:
                row = ModelSettingRow(model_id=model_id, version=0)
            for name, value in changed.items():
                setattr(row, name, value)
            row.version += 1
            row.changed_by, row.changed_at = actor.id, now()
            session.add(row)
            told = {k: v.isoformat() if isinstance(v, date) else v for k, v in changed.items()}
            self._ledger.append(
                session, ModelChanged(actor=actor.id, subject=model_id, change=told)
            )
        self._read_at = None

    def _current(self) -> dict[str, ModelCard]:
        at = time.monotonic()
        if self._read_at is None or at - self._read_at > _REREAD_S:
            cards = self._read()
            self._key_ids = self.keyring.ids()
            for id, was in self._cards.items():
                if id not in cards or cards[id].account != was.account:
                    self.health.forget(id)  # another model may have that id by now
            self._cards, self._read_at = cards, at
        return self._cards

    def _read(self) -> dict[str, ModelCard]:
        with self._database.read() as session:
            rows = {row.model_id: row for row in session.execute(select(ModelSettingRow)).scalars()}
        own = [card for cards in self._built_in.values() for card in cards]
        known = {card.id for card in own}
        cards = [*own, *(card for card in self._added.cards() if card.id not in known)]
        return {card.id: laid_over(card, rows.get(card.id)) for card in cards}
