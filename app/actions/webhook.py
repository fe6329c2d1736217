"""Sends an action's payload to the address that an admin set: how Zapier, Make, n8n or your own service listens.

POST of the canonical JSON, byte for byte what the person saw. `Idempotency-Key` and `webhook-id` carry the request's id and
stay the same however often it is tried; `webhook-signature` follows https://www.standardwebhooks.com when a secret is set.
The address may hold a token of its own, so it is never in an error or a log: only its host is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.actions.effects import Outcome, Work, canonical
from app.errors import ActionError
from app.settings import Settings

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
FIRST_WAIT_S = 0.25
"""Waits .25, .5 and 1 s between the attempts, each with as much again by chance."""
RETRIED = frozenset({408, 425, 429, *range(500, 600)})


class _Unavailable(Exception):
    """The receiver may take it later: `why` completes 'The receiver at … '."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def send(settings: Settings, work: Work) -> Outcome:
    """Blocks until the receiver has taken it. Raises ActionError when it refuses or stays unavailable."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
    from tenacity.wait import wait_random

    host = urlsplit(settings.webhook_url).hostname or "the configured address"
    body = canonical(work.payload).encode()
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=FIRST_WAIT_S, max=8) + wait_random(0, FIRST_WAIT_S),
        retry=retry_if_exception_type(_Unavailable),
        reraise=True,
    )
    try:
        status = retrying(_post, settings, body, work.request_id)
    except _Unavailable as error:
        raise ActionError(
            f"The receiver at {host} {error.why}, {ATTEMPTS} times in a row.",
            fix="Try again later. If it stays, tell your Switchboard admin.",
        ) from error
    if 300 <= status < 400:
        raise ActionError(
            f"The receiver at {host} redirects elsewhere, which is not followed.",
            fix="An admin must set its final address.",
        )
    if status >= 400:
        raise ActionError(
            f"The receiver at {host} refused it with status {status}.",
            fix="Ask your Switchboard admin to check what the receiver expects.",
        )
    return Outcome(f"Sent to {host}.")


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64 HMAC-SHA256 of id.timestamp.body>`. A secret with the prefix whsec_ is base64, another is taken as it is."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error as error:
            raise ActionError(
                "The webhook's secret is not valid base64.",
                fix="An admin must correct SWITCHBOARD_WEBHOOK_SECRET.",
            ) from error
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _post(settings: Settings, body: bytes, request_id: str) -> int:
    """The status of an answer that settles it; raises _Unavailable for one that does not."""
    import httpx

    try:
        with httpx.Client(timeout=settings.webhook_timeout_s, follow_redirects=False) as client:
            response = client.post(
                settings.webhook_url, content=body, headers=_headers(settings, body, request_id)
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _Unavailable(_why(error)) from error
    if response.status_code in RETRIED:
        raise _Unavailable(f"answered with status {response.status_code}")
    return response.status_code


def _headers(settings: Settings, body: bytes, request_id: str) -> dict[str, str]:
    timestamp = int(time.time())
    headers = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Switchboard",
        "idempotency-key": request_id,
        "webhook-id": request_id,
        "webhook-timestamp": str(timestamp),
    }
    if secret := settings.webhook_secret.get_secret_value():
        headers["webhook-signature"] = signature(secret, request_id, timestamp, body)
    return headers


def _why(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return "cannot be reached"
    return "broke the connection"
