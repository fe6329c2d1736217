"""Our errors as HTTP, in the shape that OpenAI's clients read: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse

from app import errors
from app.domain import Failed, Json
from app.errors import RateLimited, SwitchboardError

RETRY_AFTER_S = 10
"""What a client is told to wait when a model or the index does not answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How one class of errors looks from outside."""

    status: int
    type: str
    code: str


BROKEN = Shape(500, "server_error", "internal_error")
# The first class that fits decides, so a class stands before its parent.
SHAPES: tuple[tuple[type[SwitchboardError], Shape], ...] = (
    (errors.NotSignedIn, Shape(401, "authentication_error", "invalid_api_key")),
    (errors.RateLimited, Shape(429, "rate_limit_error", "rate_limit_exceeded")),
    (errors.Withheld, Shape(404, "invalid_request_error", "not_found")),
    (errors.Denied, Shape(403, "permission_error", "permission_denied")),
    (errors.NotFound, Shape(404, "invalid_request_error", "not_found")),
    (errors.TooLarge, Shape(413, "invalid_request_error", "request_too_large")),
    (errors.InputError, Shape(400, "invalid_request_error", "invalid_request")),
    (errors.ContextTooLong, Shape(400, "invalid_request_error", "context_length_exceeded")),
    (errors.ModelRefused, Shape(400, "invalid_request_error", "content_filter")),
    # What OpenAI's clients know as a spent quota: they do not try again by themselves.
    (errors.OverBudget, Shape(429, "insufficient_quota", "insufficient_quota")),
    (errors.BudgetUsedUp, Shape(429, "insufficient_quota", "insufficient_quota")),
    (errors.ModelError, Shape(503, "server_error", "model_unavailable")),
    (errors.NoModel, Shape(503, "server_error", "no_model_available")),
    (errors.IndexUnavailable, Shape(503, "server_error", "search_unavailable")),
)


def shape_of(kind: type[BaseException]) -> Shape:
    return next((shape for known, shape in SHAPES if issubclass(kind, known)), BROKEN)


def error_body(message: str, shape: Shape) -> Json:
    return {"error": {"message": message, "type": shape.type, "param": None, "code": shape.code}}


def error_response(
    error: SwitchboardError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    retry_after = error.retry_after if isinstance(error, RateLimited) else None
    return _response(str(error), shape_of(type(error)), retry_after, headers or {})


def failed_response(end: Failed, headers: Mapping[str, str]) -> JSONResponse:
    """A turn that failed before its first word, with the status of the error that ended it."""
    return _response(f"{end.message} {end.fix}", failed_shape(end), None, headers)


def failed_shape(end: Failed) -> Shape:
    kind = getattr(errors, end.kind, None) if end.kind else None
    return shape_of(kind) if isinstance(kind, type) else BROKEN


def broken_response() -> JSONResponse:
    return _response("Something in Switchboard broke. Try again.", BROKEN, None, {})


def _response(
    message: str, shape: Shape, retry_after: float | None, headers: Mapping[str, str]
) -> JSONResponse:
    told = dict(headers)
    if shape.status == 503:
        retry_after = RETRY_AFTER_S
    if retry_after is not None:
        told["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if shape.status == 401:
        told["WWW-Authenticate"] = 'Bearer realm="switchboard"'
    return JSONResponse(error_body(message, shape), shape.status, told)
