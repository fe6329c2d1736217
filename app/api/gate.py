"""Who is calling: the personal key, how often it may be used, and what the policy says about the route."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from app.access import Policy, require
from app.domain import Person
from app.errors import NotSignedIn, RateLimited
from app.identity.keys import ApiKeys
from app.records import Ledger
from app.records.events import AccessDenied

REFUSALS_RECORDED_PER_MINUTE = 10
"""Of one address. Whoever guesses keys shall not be able to fill the log."""

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Visit:
    """What the gate reads of a request; a value, so that it can go to a thread."""

    route: str
    authorization: str
    address: str
    loopback: bool

    @classmethod
    def of(cls, request: Request, route: str) -> Visit:
        """A request that a proxy passed on does not count as one from this machine."""
        address = request.client.host if request.client else ""
        forwarded = any(name in request.headers for name in _FORWARDED)
        return cls(
            route,
            request.headers.get("authorization", ""),
            address,
            address in _LOOPBACK and not forwarded,
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """`headers` tell the caller what is left of the rate limit."""

    person: Person
    key_id: str
    headers: Mapping[str, str]


class Gate:
    """Limits count in this process: behind several processes a key may be used as often in each."""

    def __init__(
        self, keys: ApiKeys, policy: Policy, ledger: Ledger, requests_per_minute: int
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._ledger = ledger
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._refusals = RateLimitItemPerMinute(REFUSALS_RECORDED_PER_MINUTE)
        self._once = RateLimitItemPerMinute(1)

    def enter(self, visit: Visit) -> Caller:
        """Blocks (two statements). Raises NotSignedIn, RateLimited or Denied; each denial is recorded."""
        person, key_id = self._resolve(visit)
        headers = self._count(visit, person, key_id)
        decision = self._policy.call_api(person, visit.route, loopback=visit.loopback)
        require(decision, person, f"call {visit.route}", self._ledger)
        return Caller(person, key_id, headers)

    def enter_without_key(self, visit: Visit) -> None:
        """For routes that the policy opens to this machine. Raises like `enter` when a key is needed."""
        if not visit.authorization and self._policy.call_api(
            None, visit.route, loopback=visit.loopback
        ):
            return
        self.enter(visit)

    def _resolve(self, visit: Visit) -> tuple[Person, str]:
        scheme, _, secret = visit.authorization.partition(" ")
        try:
            if scheme.lower() != "bearer" or not secret.strip():
                raise NotSignedIn(
                    "No key was sent.",
                    reason="no key",
                    fix="Send your personal key as `Authorization: Bearer sb_…`.",
                )
            return self._keys.resolve(secret.strip())
        except NotSignedIn as error:
            if self._limiter.hit(self._refusals, "refused", visit.address):
                self._deny("visitor", visit.route, error.reason)
            raise

    def _count(self, visit: Visit, person: Person, key_id: str) -> dict[str, str]:
        fits = self._limiter.hit(self._requests, key_id)
        reset, remaining = self._limiter.get_window_stats(self._requests, key_id)
        wait = max(1.0, reset - time.time())
        if not fits:
            if self._limiter.hit(self._once, "limited", key_id):
                self._deny(person.id, visit.route, "rate limit")
            raise RateLimited(
                f"This key has been used {self._requests.amount} times within a minute.",
                retry_after=wait,
            )
        return _limit_headers(self._requests, remaining, wait)

    def _deny(self, actor: str, route: str, reason: str) -> None:
        self._ledger.record(
            AccessDenied(actor=actor, subject=route, action=f"call {route}", reason=reason)
        )


def _limit_headers(limit: RateLimitItem, remaining: int, wait: float) -> dict[str, str]:
    """The three headers of draft-ietf-httpapi-ratelimit-headers-06, seconds until the window frees a place."""
    return {
        "RateLimit-Limit": str(limit.amount),
        "RateLimit-Remaining": str(max(0, remaining)),
        "RateLimit-Reset": str(int(wait)),
    }
