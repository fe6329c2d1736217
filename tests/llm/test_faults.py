"""The table of faults, one test a row and wire format: what the reader gets, which error it is, what the breaker makes of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from app.db import Database
from app.domain import DataClass, ModelChunk, Route, TextDelta
from app.errors import ModelError
from app.llm.anthropic import AnthropicModel
from app.llm.fault_table import FAULT_TABLE, Fault
from app.llm.model import ChatModel
from app.llm.openai import OpenAIModel
from app.records import Ledger
from app.routing import Catalogue
from app.routing.relay import Patience, relay
from app.routing.voice import Attempt
from app.settings import Settings
from tests.llm.conftest import SECRET, call
from tests.routing.conftest import card
from tests.servers.certificates import self_signed
from tests.servers.model_server import FAULTS, PIECES, ModelServer, model_server

WELL = {"ok", "late", "no_usage", "length", "crumbs", "paced", "goes_on"}
QUICK_S, LONG_S = 0.3, 30.0
STATES = {
    "counts": ("failing", 1),
    "opens": ("open", 1),
    "not its fault": ("unknown", 0),
    "closed": ("healthy", 0),
}
WHOLE = "".join(PIECES)

Address = Callable[[ModelServer], str]
# Faults below HTTP: where the model is looked for instead of at the server.
ELSEWHERE: dict[str, Address] = {
    "refused_connection": lambda _: "http://127.0.0.1:9",
    "unknown_host": lambda _: "http://models.invalid",
    "no_tls": lambda server: server.url.replace("http://", "https://"),
    "untrusted_tls": lambda server: server.url,
}


def test_every_row_has_a_test_and_every_fault_a_row() -> None:
    rows = [row.id for row in FAULT_TABLE]
    assert len(rows) == len(set(rows))
    assert set(rows) == set(FAULTS) - WELL | set(ELSEWHERE)


@asynccontextmanager
async def reached(row: Fault, server: ModelServer, folder: Path) -> AsyncIterator[str]:
    """The address under which the model of a row is looked for."""
    if row.id != "untrusted_tls":
        yield ELSEWHERE.get(row.id, lambda known: known.url)(server)
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(folder))
    async with model_server(context) as secret:
        yield secret.url


@pytest.fixture
def catalogue(settings: Settings, database: Database, ledger: Ledger) -> Catalogue:
    return Catalogue(settings, database, ledger)


def model(wire: str, name: str, address: str) -> ChatModel:
    if wire == "anthropic":
        return AnthropicModel(name, name, model_name=name, api_key=SECRET, base_url=address)
    return OpenAIModel(name, name, model_name=name, api_key=SECRET, base_url=f"{address}/v1")


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("row", FAULT_TABLE, ids=lambda row: row.id)
async def test_a_fault_ends_as_the_table_says(
    row: Fault, wire: str, server: ModelServer, catalogue: Catalogue, tmp_path: Path
) -> None:
    attempts: list[Attempt] = []
    async with reached(row, server, tmp_path) as address:
        catalogue.add(card(row.id), model(wire, row.id, address), row.id)
        catalogue.add(card("ok"), model(wire, "ok", server.url), "ok")
        text, error = await heard(catalogue, row, attempts)
        await catalogue.close()

    assert attempts[0].model == row.id
    assert bool(attempts[0].error) == (row.error is not None)
    assert SECRET not in attempts[0].error
    said = {
        "another model": (WHOLE, None, [row.id, "ok"]),
        "interruption": (PIECES[0], row.error, [row.id]),
        "refusal": (text if text == PIECES[0] else "", row.error, [row.id]),
        "the answer": ("drip drip drip ", None, [row.id]),
    }[row.reader]
    assert (text, error, [attempt.model for attempt in attempts]) == said
    health = catalogue.health.of(row.id)
    assert (health.state, health.failed) == STATES[row.breaker]


async def heard(
    catalogue: Catalogue, row: Fault, attempts: list[Attempt]
) -> tuple[str, type[ModelError] | None]:
    """The text that a reader gets, and the error that ends it. Only the rows about waiting have deadlines to wait for."""
    waits = row.error is not None and row.error.__name__ == "ModelTimeout"
    way = Route("travel", row.id, ("ok",), "grounded", "", (), DataClass.INTERNAL, True)
    patience = Patience(LONG_S, LONG_S)
    if waits:
        patience = Patience(QUICK_S, QUICK_S)
    question = call("Drip three times." if row.id == "drips" else "How do I travel?")
    text = ""
    try:
        async with aclosing(relay(way, question, catalogue, attempts, patience)) as chunks:
            async for chunk in chunks:
                text += _text(chunk)
    except ModelError as error:
        return text, type(error)
    return text, None


def _text(chunk: ModelChunk) -> str:
    return chunk.text if isinstance(chunk, TextDelta) else ""
