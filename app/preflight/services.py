"""What the app talks to: the search index, the models, the identity provider and its clock."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from app.db import Database, current_revision, migrate, newest_revision
from app.errors import (
    AlreadyRunning,
    ModelError,
    ProviderUnavailable,
    SignInError,
    SwitchboardError,
)
from app.preflight.result import Result, failed, failed_by, passed, unknown
from app.preflight.surroundings import Surroundings
from app.records import Ledger

if TYPE_CHECKING:
    from app.routing import Catalogue

MODEL_TIMEOUT_S = 30.0


async def index(around: Surroundings) -> list[Result]:
    name = "search index"
    embedded = not around.settings.qdrant_url
    if embedded and around.owner:
        return [unknown(name, "The running Switchboard holds it.", "Ask its /readyz.")]
    if embedded and not (around.settings.data_dir / "index").exists():
        return [passed(name, "None yet; the first start makes it.")]
    from app.knowledge.index import open_index

    try:
        with closing(open_index(around.settings)) as opened:
            if opened.fresh:
                return [passed(name, "Empty; the next start fills it from the database.")]
            return [passed(name, f"Opens; {opened.count():,} chunks.")]
    except AlreadyRunning as error:
        return [unknown(name, error.message, error.fix)]
    except SwitchboardError as error:
        return [failed_by(name, error)]


async def models(around: Surroundings) -> list[Result]:
    """One line for each model that is switched on, by a tiny real call."""
    from app.knowledge.embed import load_embedder
    from app.routing import Catalogue

    with tempfile.TemporaryDirectory() as scratch:
        store = _settings_of_models(around, Path(scratch))
        try:
            catalogue = Catalogue(around.settings, store, Ledger(store), load_embedder().documents)
            cards = [card for card in catalogue.cards() if card.offered]
            results = await asyncio.gather(*(_model(catalogue, c.id, c.label) for c in cards))
            await catalogue.close()
        finally:
            store.close()
    return list(results) or [
        failed("models", "No model is switched on.", "Switch one on under Models.")
    ]


async def issuer(around: Surroundings) -> list[Result]:
    """Discovery, keys, and the provider's clock against ours."""
    name, clock = "identity provider", "clock"
    settings = around.settings
    if settings.demo_issuer and not around.owner:
        return [
            unknown(name, "The demo issuer is part of the app, which does not run."),
            passed(clock, "The demo issuer uses this machine's clock."),
        ]
    from app.identity.identity import configured, demo_config
    from app.identity.provider import Provider

    try:
        config = demo_config(settings) if settings.demo_issuer else configured(settings)
        found = await Provider(config, around.clock).check()
    except ProviderUnavailable as error:
        nobody = unknown(clock, "The provider's clock cannot be read.")
        return [failed(name, f"{settings.oidc_issuer}: {error.message}", error.fix), nobody]
    except SignInError as error:
        cause = f"{error.message} ({error.detail or error.reason})"
        return [failed(name, cause, error.fix), unknown(clock, "The provider was not understood.")]
    except SwitchboardError as error:
        return [failed_by(name, error), unknown(clock, "No provider to compare with.")]
    about = f"{found.issuer} answers and names itself so; signs with {', '.join(found.algorithms)}."
    return [passed(name, about), _clock(clock, found.skew_s, settings.clock_skew_s)]


def _settings_of_models(around: Surroundings, scratch: Path) -> Database:
    """The database with what admins changed about models; an empty one where it is missing or of another revision."""
    if not around.no_database_yet:
        try:
            if current_revision(around.database) == newest_revision():
                return Database(around.settings.database)
        except (SwitchboardError, SQLAlchemyError):
            pass  # the line on the database says it
    empty = Database(f"sqlite:///{scratch / 'models.sqlite'}")
    migrate(empty)
    return empty


async def _model(catalogue: Catalogue, model_id: str, label: str) -> Result:
    name = f"model {label}"
    try:
        await asyncio.wait_for(catalogue.check(model_id), MODEL_TIMEOUT_S)
    except ModelError as error:
        return failed(name, error.message, error.fix)
    except TimeoutError:
        fix = "Check the network and the provider's status page."
        return failed(name, f"No answer within {MODEL_TIMEOUT_S:.0f} s.", fix)
    return passed(name, "Answers.")


def _clock(name: str, skew_s: float | None, tolerated_s: int) -> Result:
    if skew_s is None:
        return unknown(name, "The provider sends no date.")
    told = f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} the provider's"
    if abs(skew_s) > tolerated_s:
        fix = "Set this machine's clock (NTP), or raise SWITCHBOARD_CLOCK_SKEW_S."
        return failed(name, f"This machine's clock is {told}.", fix)
    return passed(name, f"This machine's clock is {told}; {tolerated_s} s are tolerated.")
