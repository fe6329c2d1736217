"""The ASGI app: Streamlit's pages, sign-in, the API and health on one port."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from app import wiring
from app.api import api_routes
from app.demo.inbox import inbox_routes
from app.demo.people import load_people
from app.demo.seed import seed
from app.identity import issuer_routes, sign_in_routes
from app.response_headers import PageHeaders
from app.ui.theme_message import build_theme_once
from app.wiring import Services

if TYPE_CHECKING:
    import streamlit as st

_M_ARENA_MAX = -8  # malloc.h
UI = Path(__file__).parent / "ui"
# Imported before the first visitor, so that nobody's first answer pays for them.
WARM = ("pandas", "altair", "streamlit.elements.write", "streamlit.delta_generator")


def routes(services: Services) -> list[BaseRoute]:
    """Everything on the port that is not a Streamlit page."""
    mounted: list[BaseRoute] = [
        *sign_in_routes(services.identity, services.settings),
        *api_routes(services),
        Mount("/assets", StaticFiles(directory=UI / "assets"), name="assets"),
    ]
    if services.settings.demo_issuer:
        mounted += issuer_routes(services.settings, services.database, load_people())
        mounted += inbox_routes()
    return mounted


def streamlit_app(services: Services) -> st.App:
    import streamlit as st

    build_theme_once()

    @contextlib.asynccontextmanager
    async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
        services.start(asyncio.get_running_loop())
        seed(services)
        wiring.use(services)
        warm_up = asyncio.create_task(asyncio.to_thread(warm, services))
        try:
            yield {}
        finally:
            warm_up.cancel()
            wiring.use(None)
            await services.stop()

    return st.App(
        UI / "main.py",
        lifespan=lifespan,
        routes=routes(services),
        middleware=[Middleware(PageHeaders)],
    )


def warm(services: Services) -> None:
    """Loads what the first page would load, then keeps the collector away from it for good (a full collection holds every
    page up for half a second)."""
    services.catalogue.warm()
    for module in WARM:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    if trim := _allocator("malloc_trim"):
        trim(0)


def few_arenas() -> None:
    """Two heaps for all threads instead of eight a core; called before there are threads. The lock of Python's interpreter
    lets one thread allocate at a time anyway, and each heap keeps what was freed in it: 20 MB less with `malloc_trim`."""
    if limit := _allocator("mallopt"):
        limit(_M_ARENA_MAX, 2)


def _allocator(function: str) -> Callable[..., int] | None:
    """A function of glibc's malloc; None with another C library."""
    return getattr(ctypes.CDLL(None), function, None)


def serve(services: Services) -> None:
    """Blocks until the server is told to stop."""
    settings = services.settings
    streamlit_app(services).run(
        config={
            "server.port": settings.port,
            "server.address": settings.host,
            "server.headless": True,
            "logger.hideWelcomeMessage": True,
        }
    )
