"""From what a provider said to our error tree, the same for every wire format.

The SDK files turn their exceptions into a `Reply`; `from_reply` decides. What a person reads is written here; what the
provider wrote goes into `detail` only, shortened and without the key, because servers echo keys and prompts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from app.domain import now
from app.errors import (
    ContextTooLong,
    ModelCredential,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRequestError,
    ModelTimeout,
    ModelUnavailable,
    NoCredit,
)

_CONTEXT = re.compile(
    r"context[ _]length|context window|maximum context|context size|prompt is too long"
    r"|too many (input )?tokens|input is too long|exceed_context",
    re.IGNORECASE,
)
_FILTER = re.compile(r"content_?filter|content_policy|safety system", re.IGNORECASE)
_BILLING = re.compile(r"insufficient_quota|billing|credit balance|spend_limit", re.IGNORECASE)
_KEY = re.compile(r"\b(?:sk|pk|key|sb)[-_][\w*.-]{6,}|Bearer\s+\S+", re.IGNORECASE)
_QUOTED = re.compile(r"(['\"`]).{40,}?\1", re.DOTALL)
_DETAIL_CHARS = 240

# What `detail` says, or begins with, of answers that cannot be used.
CONTENT_TYPE = "content type"
EMPTY = "empty answer"
TRUNCATED = "truncated stream"

# Types of error objects that arrive inside a stream, where no status code is left to say it.
_TYPE_STATUS = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "timeout_error": 504,
    "api_error": 500,
    "server_error": 500,
    "invalid_request_error": 400,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered instead of a message. `status` is the HTTP code, or None inside a running stream."""

    status: int | None
    code: str = ""
    type: str = ""
    message: str = ""
    request_id: str = ""
    retry_after: float | None = None


def from_reply(label: str, reply: Reply, secret: str = "") -> ModelError:
    """Which of our errors a reply is. `label` names the model for the person; `secret` is taken out of the detail."""
    error = _from_reply(label, reply, secret)
    error.status = reply.status
    return error


def _from_reply(label: str, reply: Reply, secret: str) -> ModelError:
    said = f"{reply.code} {reply.type} {reply.message}"
    status = reply.status if reply.status is not None else _status_of_type(reply)
    detail = _detail(reply, secret)
    if (_BILLING.search(said) and status in {400, 402, 403, 429}) or status == 402:
        return NoCredit(
            f"The account behind {label} has no credit left.",
            detail=detail,
        )
    if status == 413 or (status in {400, 422} and _CONTEXT.search(said)):
        return ContextTooLong(f"This conversation is longer than {label} can read.", detail=detail)
    if status in {400, 403, 422} and _FILTER.search(said):
        return refused(label, detail)
    return _by_status(label, status, reply, detail)


def _status_of_type(reply: Reply) -> int:
    return _TYPE_STATUS.get(reply.type) or _TYPE_STATUS.get(reply.code, 500)


def _by_status(label: str, status: int, reply: Reply, detail: str) -> ModelError:
    if status in {401, 403}:
        return ModelCredential(f"{label} refused our key.", detail=detail)
    if status == 429:
        return ModelRateLimited(
            f"{label} is over its request limit.", retry_after=reply.retry_after, detail=detail
        )
    if status in {408, 504}:
        return ModelTimeout(f"{label} took too long to answer.", detail=detail)
    if status == 404:
        return ModelRequestError(
            f"{label} is not known at the configured address.",
            fix="An admin must check the model id and the base URL.",
            detail=detail,
        )
    if 300 <= status < 400:
        return ModelRequestError(
            f"{label} has moved to another address.",
            fix="An admin must enter that address: a key is not sent after it.",
            detail=detail,
        )
    if 400 <= status < 500 and status not in {409, 425, 499}:
        return ModelRequestError(f"{label} did not accept our request.", detail=detail)
    return ModelUnavailable(f"{label} is not available right now.", detail=detail)


def refused(label: str, detail: str = "") -> ModelRefused:
    return ModelRefused(f"{label} declined to answer this.", detail=detail)


def broken(label: str, what: str) -> ModelUnavailable:
    """An answer that cannot be used: `what` is a short fixed phrase such as 'malformed chunk'."""
    return ModelUnavailable(f"{label} sent an answer we cannot use.", detail=what)


def broke_off(label: str) -> ModelUnavailable:
    return ModelUnavailable(f"{label} broke off in mid-answer.", detail=TRUNCATED)


def unreachable(label: str, detail: str) -> ModelUnavailable:
    return ModelUnavailable(f"{label} cannot be reached.", detail=detail)


def led_inside(label: str, detail: str) -> ModelRequestError:
    """Where a connection would have gone is for admins: it stays in `detail`."""
    return ModelRequestError(
        f"{label} was not asked: its address is not permitted.",
        fix="An admin must look at its address on Models; a test there says more.",
        detail=detail,
    )


def timed_out(label: str, detail: str) -> ModelTimeout:
    return ModelTimeout(f"{label} took too long to answer.", detail=detail)


def misconfigured(label: str, detail: str) -> ModelRequestError:
    return ModelRequestError(
        f"{label} is not set up correctly.",
        fix="An admin must check its base URL and key.",
        detail=detail,
    )


def retry_after(headers: Mapping[str, str], clock: datetime | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `retry-after` in seconds or as an HTTP date; None when absent or nonsense."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            return max(0.0, float(value) * factor)
        except ValueError:
            continue
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, (at - (clock or now())).total_seconds())
    except (ValueError, TypeError):
        return None


def _detail(reply: Reply, secret: str) -> str:
    """For the log: codes, and the provider's words without the key and without long quotations of the prompt."""
    words = reply.message.replace(secret, "***") if secret else reply.message
    words = _QUOTED.sub("'…'", _KEY.sub("***", words))[:_DETAIL_CHARS]
    parts = {
        "status": reply.status,
        "code": reply.code,
        "type": reply.type,
        "request": reply.request_id,
        "message": words,
    }
    return " ".join(f"{name}={value}" for name, value in parts.items() if value)
