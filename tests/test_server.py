"""What the server adds to every page, tried on the real ASGI app without its Streamlit part."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from app.response_headers import PageHeaders


@pytest.fixture
def client() -> httpx.AsyncClient:
    routes = [
        Route("/page", lambda _: HTMLResponse("<p>page</p>")),
        Route("/v1/models", lambda _: JSONResponse([])),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(PageHeaders)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk.test")


async def test_a_page_may_load_images_from_its_own_origin_only(client: httpx.AsyncClient) -> None:
    page = await client.get("/page")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["frame-ancestors"] == "'self'"
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_the_api_is_passed_on_untouched(client: httpx.AsyncClient) -> None:
    assert "content-security-policy" not in (await client.get("/v1/models")).headers
