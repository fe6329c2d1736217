"""What a failed small request means, in words for the admin who can do something about it."""

from __future__ import annotations

from app.errors import (
    ContextTooLong,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRequestError,
    ModelTimeout,
    NoCredit,
)
from app.llm import faults

Told = tuple[str, str]
"""Why, and the way out."""

PATH = "Check that the address ends where its API begins, usually with /v1."
_LATER = (
    "Test again in a minute; if it stays, look at the provider's status page or the server's log."
)


def answering(error: ModelError) -> Told:
    """Why a model whose address, key and name are in order did not answer."""
    if isinstance(error, NoCredit):
        return "The account behind the key has no credit left.", "Top it up at the provider."
    if isinstance(error, ModelRateLimited):
        wait = f" and asks for {error.retry_after:.0f} s of patience" if error.retry_after else ""
        return f"It is over its request limit (429){wait}.", "Test again after that."
    if isinstance(error, ModelTimeout):
        return f"It took too long: {error.detail or 'no answer in time'}.", (
            "Test again: a model that has to be loaded first is late once. If it stays, look at the server."
        )
    if isinstance(error, ModelRefused):
        return "It declined a harmless question.", "Look at the account's content filters."
    if isinstance(error, ContextTooLong):
        return "It cannot even read one sentence.", "Look at the server's context length."
    if isinstance(error, ModelRequestError):
        return _request(error)
    return _unavailable(error)


def _request(error: ModelError) -> Told:
    if error.status and 300 <= error.status < 400:
        return (
            f"It sends us on to another address ({error.status}), and a key is not sent after it.",
            "Enter the address that it sends to.",
        )
    if error.status == 404:
        return "No chat completions are served there (404).", PATH
    if error.status is None:
        return "The request could not be made.", f"{PATH} Paste the key again."
    return f"It did not accept the small request: {error.detail}.", (
        "Check in the provider's documentation that this model is one for chat."
    )


def _unavailable(error: ModelError) -> Told:
    if error.status:
        return f"The provider has trouble of its own ({error.status}).", _LATER
    if error.detail.startswith(faults.CONTENT_TYPE):
        kind = error.detail.removeprefix(faults.CONTENT_TYPE).strip()
        return f"It answered with {kind} instead of a stream of words.", (
            f"A login page, a proxy or another service answers there. {PATH}"
        )
    if error.detail == faults.TRUNCATED:
        return "The answer broke off before its end.", (
            "Look at the server's log, and at proxies in between that end long answers."
        )
    if error.detail.startswith(faults.EMPTY):
        return f"It sent no word ({error.detail}).", (
            "If it thinks for long before it answers, give it less to think in the server's settings."
        )
    return f"The answer was unusable or its connection was lost ({error.detail}).", _LATER
