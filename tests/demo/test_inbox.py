"""The demo's inbox takes each message once, shows it as text, and answers to this machine only."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from app.demo.inbox import inbox_routes, with_inbox
from app.settings import Settings


@pytest.fixture
def inbox() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=inbox_routes()))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8501")


async def test_a_message_sent_twice_is_shown_once_and_never_as_html(
    inbox: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        answer = await inbox.post(
            "/demo/inbox",
            json={"subject": "<b>Trip</b>"},
            headers={"Idempotency-Key": "act_1"},
        )
        assert answer.status_code == 200
    page = (await inbox.get("/demo/inbox")).text
    assert page.count("act_1") == 1
    assert "<b>Trip</b>" not in page
    assert "&lt;b&gt;Trip" in page


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({}, b"{}"),
        ({"Idempotency-Key": "k"}, b"no json"),
        ({"Idempotency-Key": "k", "Host": "evil.test"}, b"{}"),
        ({"Idempotency-Key": "k"}, b"1" * 200_000),
    ],
)
async def test_anything_else_is_refused(
    inbox: httpx.AsyncClient, headers: dict[str, str], content: bytes
) -> None:
    answer = await inbox.post("/demo/inbox", content=content, headers=headers)
    assert answer.status_code == 400
    assert "Nothing has been sent yet" in (await inbox.get("/demo/inbox")).text


def test_only_the_demo_without_an_address_of_its_own_uses_it() -> None:
    assert with_inbox(Settings()).webhook_url == "http://127.0.0.1:8501/demo/inbox"
    mine = Settings(webhook_url="https://hooks.example.test/x")
    assert with_inbox(mine).webhook_url == "https://hooks.example.test/x"
    real = Settings(oidc_issuer="https://id.example.test", oidc_client_id="x")
    assert with_inbox(real).webhook_url == ""
