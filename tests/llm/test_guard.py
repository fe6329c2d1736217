"""Where a model's address may lead: judged at each connection, before anything is sent."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest

from app.errors import ModelRequestError, ModelUnavailable
from app.llm.anthropic import AnthropicModel
from app.llm.checks import ADDRESS, Outcome, examine
from app.llm.guard import TICK, Guard, Refused
from app.llm.openai import OpenAIModel
from tests.llm.conftest import SECRET, answer
from tests.servers.json_server import JsonServer, Reply, Request
from tests.servers.model_server import PIECES, ModelServer, model_server

PUBLIC = "93.184.215.14"
WIRES = ["openai", "anthropic"]
Model = OpenAIModel | AnthropicModel


class Names:
    """A name server: one list of addresses per question asked, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if not self.answers:
            raise OSError("no such name")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Connector(aiohttp.TCPConnector):
    """Real connections, each noted once the guard has let it pass; those to a public address are led to the test's server."""

    made: list[str]

    async def _wrap_create_connection(self, *args: Any, addr_infos: Any, **more: Any) -> Any:
        check, self._socket_factory = self._socket_factory, None
        try:
            for info in addr_infos:
                check(info).close()
                type(self).made.append(info[4][0])
            port = addr_infos[0][4][1]
            local = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
            return await super()._wrap_create_connection(*args, addr_infos=[local], **more)
        finally:
            self._socket_factory = check


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest.fixture
def connector() -> type[Connector]:
    return type("Noting", (Connector,), {"made": []})


def port(server: ModelServer) -> str:
    return server.url.rpartition(":")[2]


def reached(wire: str, url: str, guard: Guard, name: str = "ok") -> Model:
    if wire == "anthropic":
        return AnthropicModel(
            "m", "Model M", model_name=name, api_key=SECRET, base_url=url, guard=guard
        )
    return OpenAIModel(
        "m", "Model M", model_name=name, api_key=SECRET, base_url=f"{url}/v1", guard=guard
    )


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("host", ["127.0.0.1", "gpu-1.example", "[::ffff:127.0.0.1]", "localhost"])
async def test_a_private_address_without_the_tick_is_refused_before_a_byte_is_sent(
    wire: str, host: str, server: ModelServer
) -> None:
    guard = Guard(inside=False, resolve=Names(["127.0.0.1"]))
    model = reached(wire, f"http://{host}:{port(server)}", guard)
    with pytest.raises(ModelRequestError, match="address is not permitted") as caught:
        await answer(model)
    assert "127.0.0.1" not in str(caught.value)  # not for the person who asked
    assert "lies inside a private network" in caught.value.detail
    check = (await examine(model)).checks[0]
    assert (check.name, check.outcome) == (ADDRESS, Outcome.FAILED)
    assert "lies inside a private network. Nothing was sent." in check.cause
    assert f"tick “{TICK}”" in check.fix
    assert server.connections_made == 0
    await model.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_the_tick_lets_it_through(wire: str, server: ModelServer) -> None:
    for host in ("127.0.0.1", "gpu-1.example"):
        guard = Guard(inside=True, resolve=Names(["127.0.0.1"]))
        model = reached(wire, f"http://{host}:{port(server)}", guard)
        text, _ = await answer(model)
        assert text == "".join(PIECES)
        await model.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_name_that_turns_inward_is_refused_when_it_does(
    wire: str, server: ModelServer, connector: type[Connector]
) -> None:
    """DNS rebinding: public when it was checked first, loopback when the next connection is made."""
    names = Names([PUBLIC], ["127.0.0.1"])
    guard = Guard(inside=False, resolve=names, connector=connector)
    model = reached(wire, f"http://rebind.example:{port(server)}", guard)
    text, _ = await answer(model)
    assert text == "".join(PIECES)
    assert connector.made == [PUBLIC]
    assert names.asked == ["rebind.example"]
    await answer(model)  # by the connection that is open
    assert names.asked == ["rebind.example"]
    broken = reached(wire, f"http://rebind.example:{port(server)}", guard, "hangs_up")
    with pytest.raises(ModelRequestError):
        await answer(broken)
    assert connector.made == [PUBLIC]
    assert len(server.requests) == 2
    await model.close()
    await broken.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_after_a_lost_connection_the_name_is_judged_anew(
    wire: str, server: ModelServer, connector: type[Connector]
) -> None:
    guard = Guard(inside=False, resolve=Names([PUBLIC], ["10.0.0.7"]), connector=connector)
    model = reached(wire, f"http://rebind.example:{port(server)}", guard, "hangs_up")
    with pytest.raises(ModelUnavailable):
        await answer(model)
    with pytest.raises(ModelRequestError) as caught:
        await answer(model)
    assert "rebind.example (10.0.0.7)" in caught.value.detail
    assert connector.made == [PUBLIC]
    await model.close()


async def test_one_private_address_spoils_the_name(connector: type[Connector]) -> None:
    guard = Guard(inside=False, resolve=Names([PUBLIC, "10.0.0.5"]), connector=connector)
    model = reached("openai", "http://mixed.example", guard)
    with pytest.raises(ModelRequestError):
        await answer(model)
    assert connector.made == []
    await model.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_redirect_into_the_network_is_not_followed(
    wire: str, server: ModelServer, connector: type[Connector]
) -> None:
    """From a permitted server to a private address: neither that address nor the key's way there is ever tried."""

    def elsewhere(request: Request) -> Reply:
        return Reply({"error": "moved"}, 307, {"Location": f"{server.url}{request.path}"})

    with JsonServer(elsewhere) as permitted:
        guard = Guard(inside=False, resolve=Names([PUBLIC]), connector=connector)
        place = permitted.url.replace("127.0.0.1", "models.example")
        model = reached(wire, place, guard)
        with pytest.raises(ModelRequestError, match="moved to another address"):
            await answer(model)
        checks = {check.name: check for check in (await examine(model)).checks}
        await model.close()
        assert permitted.requests
    assert "sends us on to another address (307)" in checks["Answers"].cause
    assert set(connector.made) == {PUBLIC}
    assert server.connections_made == 0


@pytest.mark.parametrize(
    ("address", "outside", "inside"),
    [
        (PUBLIC, True, True),
        ("2606:4700::1111", True, True),
        ("64:ff9b::808:808", True, True),  # 8.8.8.8 where there is IPv6 only
        ("64:ff9b::7f00:1", False, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("100.64.0.1", False, True),
        ("fd12:3456::1", False, True),
        ("198.18.0.1", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("fd00:ec2::254", False, False),
        ("100.100.100.200", False, False),
        ("0.0.0.0", False, False),
        ("224.0.0.1", False, False),
        ("2002:7f00:1::1", False, False),
        ("not-an-address", False, False),
    ],
)
def test_which_addresses_are_permitted(address: str, outside: bool, inside: bool) -> None:
    for ticked, permitted in ((False, outside), (True, inside)):
        guard = Guard(ticked)
        if permitted:
            guard.check("host.example", [address])
        else:
            with pytest.raises(Refused):
                guard.check("host.example", [address])


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1"])
async def test_disguises_of_loopback_are_no_way_in(host: str, server: ModelServer) -> None:
    model = reached("openai", f"http://{host}:{port(server)}", Guard(inside=False))
    with pytest.raises(ModelRequestError):
        await answer(model)
    assert server.connections_made == 0
    await model.close()


async def test_a_proxy_is_not_handed_a_name_that_leads_inside(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy makes the connections; what it is asked for is judged before."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    inside = reached("openai", "http://gpu.example", Guard(False, Names(["10.0.0.7"])))
    with pytest.raises(ModelRequestError):
        await answer(inside)
    assert server.connections_made == 0
    for names in (Names([PUBLIC]), Names()):
        outside = reached("openai", "http://models.example", Guard(False, names))
        assert (await answer(outside))[0] == "".join(PIECES)
        await outside.close()
    assert server.connections_made == 2
    await inside.close()
