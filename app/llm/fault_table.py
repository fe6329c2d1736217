"""Everything that goes wrong between us and a model, and what comes of it: a table that tests/llm/test_faults.py proves row by
row, against a real HTTP server in both wire formats.

`reader` is what the person sees when another model could answer:

    another model   the next model of the route answers; nothing of the failed one is shown
    interruption    what had arrived is kept, and they are told that it broke off (or, where the intent allows it, the next
                    model finishes it)
    refusal         they are told that the model declined; nobody else is asked
    the answer      nothing went wrong that they could notice

`breaker` is what one such fault does to the model's circuit breaker: it `counts` as a failure, `opens` at once, or is `not its
fault`; `closed` for an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

Reader = Literal["another model", "interruption", "refusal", "the answer"]
Breaker = Literal["counts", "opens", "not its fault", "closed"]


@dataclass(frozen=True, slots=True)
class Fault:
    """`id` names the test and what the test's server does; `error` is None where the answer arrives all the same."""

    id: str
    what: str
    error: type[ModelError] | None
    reader: Reader = "another model"
    breaker: Breaker = "counts"


_DOWN = ModelUnavailable
_LIMIT = ModelRateLimited

FAULT_TABLE: tuple[Fault, ...] = (
    # The provider cannot be reached.
    Fault("refused_connection", "nobody listens at the address", _DOWN),
    Fault("unknown_host", "the name does not resolve", _DOWN),
    Fault("no_tls", "the server does not speak TLS", _DOWN),
    Fault("untrusted_tls", "the server's certificate is not trusted", _DOWN),
    Fault("no_http", "something that is no HTTP answers", _DOWN),
    Fault("hangs_up", "the connection closes before a first byte", _DOWN),
    Fault("resets_at_once", "the connection is reset before a first byte", _DOWN),
    # It is up and in trouble.
    Fault("server_error", "500", _DOWN),
    Fault("bad_gateway", "502 with a proxy's page", _DOWN),
    Fault("unavailable", "503", _DOWN),
    Fault("overloaded", "529 overloaded", _DOWN),
    Fault("conflict", "409", _DOWN),
    Fault("request_timeout", "408", ModelTimeout, breaker="opens"),
    Fault("gateway_timeout", "504", ModelTimeout, breaker="opens"),
    # It wants us to wait.
    Fault("limited", "429, Retry-After in seconds", _LIMIT, breaker="opens"),
    Fault("limited_ms", "429, Retry-After-Ms", _LIMIT, breaker="opens"),
    Fault("limited_date", "429, Retry-After as a date", _LIMIT, breaker="opens"),
    Fault("limited_plain", "429 without Retry-After", _LIMIT, breaker="opens"),
    Fault("limited_nonsense", "429, a Retry-After that is no time", _LIMIT, breaker="opens"),
    Fault("limited_in_stream", "200, then a rate limit as first event", _LIMIT, breaker="opens"),
    # The account or the request is wrong.
    Fault("bad_key", "401", ModelCredential, breaker="opens"),
    Fault("forbidden", "403", ModelCredential, breaker="opens"),
    Fault("no_credit", "429 because the quota is used up", NoCredit, breaker="opens"),
    Fault("payment_required", "402", NoCredit, breaker="opens"),
    Fault("unknown_model", "404", ModelRequestError),
    Fault("bad_request", "400", ModelRequestError),
    Fault("echoes_prompt", "422 that quotes the prompt", ModelRequestError),
    Fault("moved", "308: redirects are not followed, a key must not travel", ModelRequestError),
    Fault("too_long", "400 context overflow", ContextTooLong, breaker="not its fault"),
    Fault("too_large", "413", ContextTooLong, breaker="not its fault"),
    # It declines.
    Fault("refusal", "it refuses in its first words", ModelRefused, "refusal", "not its fault"),
    Fault("filtered", "a filter ends the answer", ModelRefused, "refusal", "not its fault"),
    Fault("filtered_prompt", "400 by a filter", ModelRefused, "refusal", "not its fault"),
    # 200, and not an answer.
    Fault("login_page", "200 with HTML", _DOWN),
    Fault("plain_json", "200 with JSON instead of a stream", _DOWN),
    Fault("bad_gzip", "an encoding that does not decode", _DOWN),
    Fault("empty_body", "a stream without events", _DOWN),
    Fault("empty_answer", "a whole answer without a word", _DOWN),
    Fault("chunk_of_another_kind", "events of another format", _DOWN),
    Fault("chunk_that_is_a_list", "an event that is a list", _DOWN),
    Fault("nested_nonsense", "an event with wrong types inside", _DOWN),
    # It keeps us waiting.
    Fault("never_answers", "no first byte until the deadline", ModelTimeout, breaker="opens"),
    Fault("silent", "headers, no first token until the deadline", ModelTimeout, breaker="opens"),
    Fault("stalls", "silence after a word", ModelTimeout, "interruption", "opens"),
    Fault("drips", "a word now and then, each in time", None, "the answer", "closed"),
    # It breaks off.
    Fault("truncated", "the body ends before the answer does", _DOWN, "interruption"),
    Fault("cut_off", "the connection closes within a chunk", _DOWN, "interruption"),
    Fault("resets", "the connection is reset after a word", _DOWN, "interruption"),
    Fault("malformed_chunk", "JSON that ends in the middle", _DOWN, "interruption"),
    Fault("overloaded_in_stream", "an error event in mid-stream", _DOWN, "interruption"),
)
