"""What an answer over HTTP means: its body, how long its server asks to wait, and the words for one that is a fault.

`Retry-After` in seconds or as a date (RFC 9110, 10.2.3) comes before the vendors' `X-RateLimit-Reset`. What is a fault becomes
a `SourceFault` that says whether the credential or the network is to blame.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from connectors.faults import SourceFault

BUSY = {429, 502, 503, 504}


def retry_after(response: httpx.Response, now: float) -> float | None:
    """Seconds to wait that the server asks for; None when it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value:
        try:
            return max(0.0, float(value))
        except ValueError:
            pass
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - now)
    if response.headers.get("X-RateLimit-Remaining", "").strip() == "0":
        reset = response.headers.get("X-RateLimit-Reset", "").strip()
        try:
            return max(0.0, float(reset) - now)
        except ValueError:
            pass
        try:  # Atlassian writes a date
            return max(0.0, datetime.fromisoformat(reset).timestamp() - now)
        except ValueError:
            return None
    return None


def body_json(response: httpx.Response) -> Any:
    """Raises SourceFault for a body that is no JSON: often a sign-in page where an API was expected."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise SourceFault(
            f"{response.url.host} answered with something other than JSON.",
            "Check the address: it may be a sign-in page or a proxy.",
        ) from None


def refused(response: httpx.Response) -> SourceFault:
    """The SourceFault for a response that is an error, in words; never repeats what the server wrote."""
    host, status = response.request.url.host, response.status_code
    if status == 401:
        return SourceFault(
            f"{host} does not accept the credential (401).",
            "It may have expired or been revoked: create a new one and swap it here.",
        )
    if status == 403 and not busy(response):
        return SourceFault(
            f"{host} forbids this (403).", "Grant the credential the scopes that the help names."
        )
    if status == 404:
        return SourceFault(
            f"{host} has nothing at this address (404).",
            "Check the address and the names in the settings, and that the credential may see them.",
        )
    if busy(response):
        return SourceFault(
            f"{host} is busy or limits requests ({status}).",
            "The next sync tries again; lower the requests a minute if this goes on.",
            passing=True,
        )
    if status >= 500:
        return SourceFault(
            f"{host} failed ({status}).", "Try again later; its log may say why.", passing=True
        )
    if 300 <= status < 400:
        return SourceFault(
            f"{host} leads elsewhere ({status}).", "Enter the address that it leads to."
        )
    return SourceFault(f"{host} refused the request ({status}).", "Check the settings.")


def busy(response: httpx.Response) -> bool:
    """GitHub and others say 403 for a spent rate limit."""
    if response.status_code in BUSY:
        return True
    return response.status_code == 403 and (
        response.headers.get("X-RateLimit-Remaining", "").strip() == "0"
        or "Retry-After" in response.headers
    )


def away(host: str, error: httpx.TransportError) -> SourceFault:
    """The SourceFault for a request that had no answer."""
    if isinstance(error, httpx.TimeoutException):
        cause = f"{host} did not answer in time."
    elif isinstance(error, httpx.UnsupportedProtocol):
        return SourceFault(f"'{host}' is no web address.", "Enter one that starts with https://.")
    else:
        cause = f"{host} cannot be reached."
    return SourceFault(
        cause, "Check the address, the network and that it is running.", passing=True
    )
