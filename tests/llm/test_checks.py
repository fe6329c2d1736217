"""Separate checks of a model, against a real server in both wire formats: each says what it can know and blames nothing else."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from app.llm import checks, reach
from app.llm.anthropic import AnthropicModel
from app.llm.checks import ADDRESS, ANSWERS, KEY, KNOWN, Check, Outcome, examine
from app.llm.fault_table import FAULT_TABLE
from app.llm.openai import OpenAIModel
from app.llm.scripted import ScriptedModel
from tests.llm.conftest import SECRET, Adapter
from tests.servers.certificates import self_signed
from tests.servers.model_server import FAULTS, ModelServer, model_server

PASSED, FAILED, UNTOLD = Outcome.PASSED, Outcome.FAILED, Outcome.UNTOLD
NAMES = (ADDRESS, KEY, KNOWN, ANSWERS)


async def looked(model: OpenAIModel | AnthropicModel) -> dict[str, Check]:
    found = await examine(model)
    assert tuple(check.name for check in found.checks) == NAMES
    said = " ".join(f"{check.cause} {check.fix}" for check in found.checks)
    assert SECRET not in said
    assert "admin" not in said.lower()
    assert all(check.fix for check in found.checks if check.outcome is FAILED)
    return {check.name: check for check in found.checks}


def outcomes(found: dict[str, Check]) -> tuple[Outcome, ...]:
    return tuple(found[name].outcome for name in NAMES)


def wires(url: str, name: str = "ok", key: str = SECRET) -> list[OpenAIModel | AnthropicModel]:
    return [
        OpenAIModel("m", "M", model_name=name, api_key=key, base_url=f"{url}/v1"),
        AnthropicModel("m", "M", model_name=name, api_key=key, base_url=url),
    ]


async def test_all_is_well(adapter: Adapter, server: ModelServer) -> None:
    server.lists = ["paced", "limited"]
    found = await looked(adapter("paced"))
    assert outcomes(found) == (PASSED, PASSED, PASSED, PASSED)
    assert server.url.removeprefix("http://") in found[ADDRESS].cause
    assert found[KNOWN].cause == "The provider lists it."
    assert "First words after" in found[ANSWERS].cause
    assert "; 3 pieces within" in found[ANSWERS].cause
    assert server.looks == [("/v1/models/paced", SECRET)]


async def test_without_a_list_the_answer_tells(adapter: Adapter) -> None:
    found = await looked(adapter("ok"))
    assert outcomes(found) == (PASSED, PASSED, PASSED, PASSED)
    assert found[KNOWN].cause == "The provider has no list, but it answered."


async def test_a_model_that_the_list_leaves_out_and_that_answers_is_known(
    adapter: Adapter, server: ModelServer
) -> None:
    server.lists = ["another"]
    found = await looked(adapter("ok"))
    assert outcomes(found) == (PASSED, PASSED, PASSED, PASSED)
    assert "not in the provider's list" in found[KNOWN].cause


async def test_nobody_listens() -> None:
    for model in wires("http://127.0.0.1:9"):
        found = await looked(model)
        assert outcomes(found) == (FAILED, UNTOLD, UNTOLD, UNTOLD)
        assert found[ADDRESS].cause == "Nobody listens at 127.0.0.1:9."
        assert found[KEY].cause == "The address was not reached."
        await model.close()


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://models.invalid", "The name models.invalid cannot be resolved from here."),
        ("ftp://models.invalid", "is no address that can be asked"),
    ],
)
async def test_an_address_that_leads_nowhere_says_why(url: str, cause: str) -> None:
    for model in wires(url):
        found = await looked(model)
        assert outcomes(found) == (FAILED, UNTOLD, UNTOLD, UNTOLD)
        assert cause in found[ADDRESS].cause
        await model.close()


async def test_tls_that_fails_says_why(server: ModelServer, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    async with model_server(context) as secret:
        for model in wires(secret.url):
            found = await looked(model)
            assert "is not trusted here" in found[ADDRESS].cause
            await model.close()
    for model in wires(server.url.replace("http:", "https:")):
        found = await looked(model)
        assert outcomes(found) == (FAILED, UNTOLD, UNTOLD, UNTOLD)
        await model.close()


async def test_a_refused_key_is_blamed_and_nothing_else(
    adapter: Adapter, server: ModelServer
) -> None:
    server.lists = ["bad_key"]
    found = await looked(adapter("bad_key"))
    assert outcomes(found) == (PASSED, FAILED, UNTOLD, UNTOLD)
    assert found[KEY].cause == "The provider refused it (401)."
    assert found[ANSWERS].cause == "The key was not accepted."
    found = await looked(adapter("forbidden"))
    assert "no right to this model (403)" in found[KEY].cause


async def test_a_key_that_only_the_list_refuses_is_good(
    adapter: Adapter, server: ModelServer
) -> None:
    """OpenAI's restricted keys may answer and not list."""
    server.lists, server.list_key = ["ok"], "another key"
    assert outcomes(await looked(adapter("ok"))) == (PASSED, PASSED, PASSED, PASSED)
    limited = await looked(adapter("limited"))
    assert outcomes(limited) == (PASSED, FAILED, UNTOLD, UNTOLD)


async def test_a_missing_key_is_asked_for(server: ModelServer) -> None:
    for model in wires(server.url, "bad_key", key=""):
        assert "none was given" in (await looked(model))[KEY].cause
        await model.close()


@pytest.mark.parametrize("lists", [None, ["unknown-model-1", "another"]])
async def test_an_unknown_model_is_named(
    adapter: Adapter, server: ModelServer, lists: list[str] | None
) -> None:
    server.lists, server.list_key = lists, SECRET if lists else ""
    found = await looked(adapter("unknown_model"))
    assert outcomes(found) == (PASSED, PASSED if lists else UNTOLD, FAILED, UNTOLD)
    expected = "It names unknown-model-1" if lists else "(404)"
    assert expected in found[KNOWN].cause


async def test_a_limit_says_nothing_about_key_or_model_that_the_list_does_not(
    adapter: Adapter, server: ModelServer
) -> None:
    found = await looked(adapter("limited"))
    assert outcomes(found) == (PASSED, UNTOLD, UNTOLD, UNTOLD)
    assert "asks for 7 s of patience" in found[ANSWERS].cause
    server.lists = ["limited"]
    found = await looked(adapter("limited"))
    assert outcomes(found) == (PASSED, UNTOLD, PASSED, UNTOLD)
    assert "open to everybody" in found[KEY].cause
    server.list_key = SECRET
    assert outcomes(await looked(adapter("limited"))) == (PASSED, PASSED, PASSED, UNTOLD)
    assert server.looks[-1][1] == ""


async def test_no_credit_is_no_bad_key(adapter: Adapter) -> None:
    for fault in ("no_credit", "payment_required"):
        found = await looked(adapter(fault))
        assert (found[KEY].outcome, found[ANSWERS].outcome) == (PASSED, FAILED)
        assert "no credit left" in found[ANSWERS].cause


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("login_page", "text/html instead of a stream"),
        ("plain_json", "application/json instead of a stream"),
        ("truncated", "broke off before its end"),
        ("server_error", "trouble of its own (500)"),
        ("bad_request", "Unknown parameter"),
        ("empty_answer", "It sent no word"),
        ("moved", "sends us on to another address (308)"),
        ("refusal", "declined a harmless question"),
    ],
)
async def test_an_answer_that_fails_says_why(
    adapter: Adapter, server: ModelServer, fault: str, cause: str
) -> None:
    server.lists, server.list_key = [fault], SECRET
    found = await looked(adapter(fault))
    assert outcomes(found) == (PASSED, PASSED, PASSED, FAILED)
    assert cause in found[ANSWERS].cause


async def test_a_silent_model_does_not_hold_the_admin_up(
    adapter: Adapter, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "FIRST_WORD_S", 0.1)
    server.lists, server.list_key = ["silent"], SECRET
    found = await looked(adapter("silent"))
    assert outcomes(found) == (PASSED, PASSED, PASSED, FAILED)
    assert "0.1 s" in found[ANSWERS].cause
    await server.hung_up(but=1)


async def test_an_endless_answer_is_listened_to_for_a_moment(
    adapter: Adapter, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ENOUGH_S", 0.05)
    found = await looked(adapter("drips"))
    assert found[ANSWERS].outcome is PASSED
    await server.hung_up(but=1)


async def test_a_server_that_takes_connections_and_says_nothing_is_not_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "LOOK_S", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    for model in wires(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"):
        found = await looked(model)
        assert outcomes(found) == (FAILED, UNTOLD, UNTOLD, UNTOLD)
        assert "did not answer within 0.1 seconds" in found[ADDRESS].cause
        await model.close()
    listening.close()


ENDLESS = {"silent", "never_answers", "stalls", "drips"}
CONTINUES = {"goes_on"}  # wants an answer that broke off


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - ENDLESS - CONTINUES))
async def test_every_fault_ends_in_checks(adapter: Adapter, fault: str) -> None:
    """And the answer passes for those faults only that the table calls none."""
    found = await looked(adapter(fault))
    harmful = {row.id for row in FAULT_TABLE if row.error is not None}
    assert found[ADDRESS].outcome is PASSED
    assert (found[ANSWERS].outcome is PASSED) is (fault not in harmful)


async def test_a_model_in_this_process_answers_or_not() -> None:
    (check,) = (await examine(ScriptedModel())).checks
    assert (check.name, check.outcome) == (ANSWERS, PASSED)


async def test_a_redirect_takes_no_key_along(adapter: Adapter, server: ModelServer) -> None:
    await looked(adapter("moved"))
    assert len(server.requests) == 1
