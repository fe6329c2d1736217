"""Every exception class of the SDKs and of what lies below them is one of ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import anthropic
import anthropic._error_classes  # its error classes for single causes register here
import anyio
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion

from app.errors import ModelCredential, ModelError, ModelTimeout, ModelUnavailable
from app.llm import anthropic as anthropic_adapter
from app.llm import openai as openai_adapter
from app.llm import transport

Translate = Callable[[str, Exception, str], ModelError]
REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1")


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def make(kind: type[Exception]) -> Exception:
    """An instance, whatever its constructor wants."""
    status = getattr(kind, "status_code", 418)
    response = httpx2.Response(status if isinstance(status, int) else 418, request=REQUEST)
    values: dict[str, Any] = {
        "request": REQUEST,
        "response": response,
        "body": {"error": {"type": "api_error", "message": "m"}},
        "message": "m",
        "completion": ChatCompletion.model_construct(usage=None),
        "unsent_messages": [],
    }
    try:
        parameters = inspect.signature(kind).parameters.values()
    except ValueError:  # a constructor in C tells nothing; those take anything
        return kind()
    named = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return kind(**{p.name: values.get(p.name) for p in named if p.default is p.empty})


@pytest.mark.parametrize("kind", sorted(set(family(openai.OpenAIError)), key=str))
def test_openai(kind: type[Exception]) -> None:
    prove(openai_adapter.translate, kind)


@pytest.mark.parametrize("kind", sorted(set(family(anthropic.AnthropicError)), key=str))
def test_anthropic(kind: type[Exception]) -> None:
    prove(anthropic_adapter.translate, kind)


BELOW = [
    *family(httpx2.HTTPError),
    *family(httpx2.StreamError),
    httpx2.InvalidURL,
    httpx2.CookieConflict,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
]


@pytest.mark.parametrize("kind", sorted(set(BELOW), key=str))
@pytest.mark.parametrize("translate", [openai_adapter.translate, anthropic_adapter.translate])
def test_below_the_sdks(translate: Translate, kind: type[Exception]) -> None:
    prove(translate, kind)


def prove(translate: Translate, kind: type[Exception]) -> None:
    error = translate("Model M", make(kind), "secret")
    assert type(error) is not ModelError, f"{kind} is not mapped to a kind of its own"
    assert "Model M" in error.message


def test_every_exception_of_aiohttp_is_mapped() -> None:
    for kind in family(aiohttp.ClientError):
        assert isinstance(transport.translate("M", kind.__new__(kind)), ModelError)


def test_a_dropped_connection_is_no_timeout() -> None:
    """The SDKs' aiohttp bridge turns ServerDisconnectedError into ConnectTimeout, and the SDKs that into APITimeoutError."""
    for sdk, translate in (
        (openai, openai_adapter.translate),
        (anthropic, anthropic_adapter.translate),
    ):
        dropped = httpx2.ConnectTimeout("gone")
        dropped.__cause__ = aiohttp.ServerDisconnectedError()
        error = sdk.APITimeoutError(REQUEST)
        error.__cause__ = dropped
        assert type(translate("M", error, "")) is ModelUnavailable
        dropped.__cause__ = aiohttp.SocketTimeoutError()
        assert type(translate("M", error, "")) is ModelTimeout


def test_authentication_of_every_kind_is_a_credential_fault() -> None:
    for kind in (openai.AuthenticationError, openai.OAuthError):
        assert isinstance(openai_adapter.translate("M", make(kind)), ModelCredential)
