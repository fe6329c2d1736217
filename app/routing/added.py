"""Models that an admin adds in the browser: checked, stored, taken away."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from sqlalchemy import select

from app.db import Database
from app.db.tables import ModelRow, ModelSettingRow
from app.domain import DataClass, Person, now
from app.errors import InputError, NotFound
from app.llm.guard import Guard, Refused, Resolve, system_resolver
from app.records import Ledger
from app.records.events import ModelAdded
from app.routing.cards import ModelCard
from app.routing.labels import checked_label
from app.routing.overrides import checked
from app.routing.prices import list_price
from connectors.addresses import is_disguised

Provider = Literal["openai", "anthropic", "compatible"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
NAME = re.compile(r"[\w][\w.:/@+-]{0,119}")


@dataclass(frozen=True, slots=True)
class NewModel:
    """What the form asks for. `inside` says that its address may lie in the company's own network, `free` that it costs
    nothing."""

    provider: Provider
    model_name: str
    label: str = ""
    base_url: str = ""
    inside: bool = False
    context_tokens: int = 0
    clearance: DataClass = DataClass.INTERNAL
    price_in: float | None = None
    price_out: float | None = None
    free: bool = False
    enabled: bool = True


class AddedModels:
    def __init__(
        self, database: Database, ledger: Ledger, resolver: Resolve = system_resolver
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._resolve = resolver

    def cards(self) -> list[ModelCard]:
        """As they were added, in that order; the catalogue lays an admin's later changes over them."""
        with self._database.read() as session:
            rows = session.execute(select(ModelRow).order_by(ModelRow.added_at)).scalars().all()  # type: ignore[arg-type]
            return [_card(row) for row in rows]

    def add(self, actor: Person, new: NewModel, taken: Mapping[str, str]) -> str:
        """Returns the model's id. `taken` are the ids that there are, with what people see. The caller has asked
        Policy.administer.

        Raises InputError, which names the field, for what cannot be used.
        """
        row = self._row(actor.id, new, taken)
        model_id = row.id
        with self._database.write() as session:
            session.add(row)
            if new.free or not new.enabled:
                said = ModelSettingRow(model_id=model_id, version=1, changed_by=actor.id)
                said.enabled, said.free = None if new.enabled else False, new.free or None
                said.changed_at = now()
                session.add(said)
            self._ledger.append(session, _event(actor, row, "added", new.free))
        return model_id

    def card_of(self, new: NewModel) -> ModelCard:
        """The card that it would have; nothing is stored. Raises InputError as `add` does."""
        return _card(self._row("", new, {}))

    def remove(self, actor: Person, model_id: str) -> None:
        """With its settings; receipts keep its name. Raises NotFound for one that no admin added."""
        with self._database.write() as session:
            row = session.get(ModelRow, model_id)
            if row is None:
                raise NotFound(
                    f"The model '{model_id}' was not added here.",
                    fix="Models of the settings leave with their setting; switch it off instead.",
                )
            setting = session.get(ModelSettingRow, model_id)
            if setting is not None:
                session.delete(setting)
            session.delete(row)
            self._ledger.append(session, _event(actor, row, "removed"))

    def _row(self, added_by: str, new: NewModel, taken: Mapping[str, str]) -> ModelRow:
        name, url = new.model_name.strip(), new.base_url.strip().rstrip("/")
        if new.provider not in PROVIDERS:
            raise InputError(f"There is no provider '{new.provider}'.")
        if not NAME.fullmatch(name):
            raise InputError(
                "Model id: give it as the provider writes it, such as gpt-5-mini.",
                fix="Letters, digits and . : / @ + - _ only.",
            )
        if new.provider == "compatible" and not url:
            raise InputError("Address: where is the server? For example http://gpu-1:8000/v1.")
        if url:
            self._check_address(url, new.inside)
        checked({"price_in": new.price_in, "price_out": new.price_out})
        price = list_price(name, new.provider)
        return ModelRow(
            id=_free_id(f"{new.provider}/{name}", taken),
            provider=new.provider,
            model_name=name,
            label=checked_label(new.label.strip() or name, taken.values()),
            base_url=url,
            inside=new.inside,
            context_tokens=new.context_tokens or price.context_tokens or 32_000,
            clearance=int(new.clearance),
            price_in=price.price_in if new.price_in is None else new.price_in,
            price_out=price.price_out if new.price_out is None else new.price_out,
            added_by=added_by,
        )

    def _check_address(self, url: str, inside: bool) -> None:
        try:
            parts = urlsplit(url)
            possible = parts.port != 0 and not is_disguised(parts.hostname or "")
        except ValueError:
            possible = False
        if not possible:
            raise InputError(
                "Address: its host or port cannot be.", fix="Such as http://gpu-1:8000/v1."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("Address: begin with http:// or https:// and a host.")
        if parts.username or parts.password:
            raise InputError("Address: leave out what stands before the @; keys go into Key.")
        if parts.query or parts.fragment:
            raise InputError("Address: leave out what stands after ? or #.")
        try:
            Guard(inside).check(parts.hostname, self._resolve(parts.hostname))
        except (OSError, UnicodeError):
            raise InputError(
                f"Address: the name {parts.hostname} cannot be resolved from here.",
                fix="Correct it, or ask whoever looks after your network.",
            ) from None
        except Refused as refused:
            raise InputError(f"Address: {refused.cause}", fix=refused.fix) from None


def _free_id(wanted: str, taken: Collection[str]) -> str:
    """Two servers may serve a model of the same name."""
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, 1000)))
    return next(name for name in names if name not in taken)


def _card(row: ModelRow) -> ModelCard:
    """The provider's cache costs what it is listed at, in proportion to the price that the admin gave."""
    where = urlsplit(row.base_url).netloc or "the provider"
    listed = list_price(row.model_name, row.provider)
    card = ModelCard(
        id=row.id,
        label=row.label,
        provider=row.provider,
        model_name=row.model_name,
        context_tokens=row.context_tokens,
        price_in=listed.price_in,
        price_out=listed.price_out,
        clearance=DataClass(row.clearance),
        local=False,
        note=f"Runs at {where}.",
        listed=listed.known,
        modalities=tuple(row.modalities.split(",")),
        base_url=row.base_url,
        inside=row.inside,
        added_on=row.added_at.date(),
        added=True,
        price_cached=listed.price_cached,
        price_cache_write=listed.price_cache_write,
    )
    return card.repriced(row.price_in, row.price_out)


def _event(
    actor: Person, row: ModelRow, change: Literal["added", "removed"], free: bool = False
) -> ModelAdded:
    return ModelAdded(
        actor=actor.id,
        subject=row.id,
        change=change,
        provider=row.provider,
        base_url=row.base_url,
        inside=row.inside,
        free=free,
    )
