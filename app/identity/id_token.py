"""Validation of an ID token: signature, algorithm, issuer, audience, time, nonce.

OpenID Connect Core 1.0, section 3.1.3.7. The signature is joserfc's work, the claims' Authlib's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import Key, KeySet

from app.errors import SignInError
from app.identity.faults import fault

# A shared-secret algorithm would let whoever knows the client secret (or a public key taken for one) sign people in.
ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
CLAIM_FAULTS = {
    "iss": "wrong_issuer",
    "aud": "wrong_audience",
    "azp": "wrong_audience",
    "nonce": "wrong_nonce",
    "exp": "clock_skew",
    "nbf": "clock_skew",
    "iat": "clock_skew",
}


class KeyNotFound(Exception):
    """No key of the set fits the signature: the provider may have rotated since the set was fetched."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. `now` and `leeway` are in seconds."""

    issuer: str
    client_id: str
    nonce: str
    now: int
    leeway: int
    access_token: str = field(default="", repr=False)


def allowed_algorithms(offered: Collection[str]) -> tuple[str, ...]:
    """What the provider says it signs with, without anything symmetric; RS256 when it says nothing."""
    return tuple(name for name in ASYMMETRIC if name in (offered or ("RS256",)))


def verify(
    id_token: str, keys: KeySet, algorithms: Collection[str], expected: Expected
) -> dict[str, Any]:
    """The claims of a token that passes every check. Raises KeyNotFound, and SignInError for the rest."""
    if not algorithms:
        raise fault("bad_algorithm", detail="the provider offers no asymmetric algorithm")
    try:
        token = _decode(id_token, keys, algorithms)
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise KeyNotFound(str(error)) from error
    except UnsupportedAlgorithmError as error:
        raise fault("bad_algorithm", detail=str(error)) from error
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise fault("bad_token", detail=f"{type(error).__name__}: {error}") from error
    _check_claims(token, expected)
    return dict(token.claims)


def _decode(id_token: str, keys: KeySet, algorithms: Collection[str]) -> jwt.Token:
    registry = jws.JWSRegistry(algorithms=algorithms, strict_check_header=False)
    header = jws.extract_compact(id_token.encode()).headers()
    registry.get_alg(str(header.get("alg", "")))
    if header.get("kid"):
        return jwt.decode(id_token, keys, registry=registry)
    for key in _candidates(keys, str(header["alg"])):
        try:
            return jwt.decode(id_token, key, registry=registry)
        except BadSignatureError:
            continue
    raise InvalidKeyIdError("the token names no key and none of the set fits")


def _candidates(keys: KeySet, algorithm: str) -> list[Key]:
    return [
        key
        for key in keys
        if key.key_type == KEY_TYPES.get(algorithm[:2]) and key.get("use", "sig") == "sig"
    ]


def _check_claims(token: jwt.Token, expected: Expected) -> None:
    params = {"nonce": expected.nonce, "client_id": expected.client_id}
    if expected.access_token:
        params["access_token"] = expected.access_token
    claims = CodeIDToken(
        token.claims,
        token.header,
        {
            "iss": {"essential": True, "value": expected.issuer},
            "aud": {"essential": True, "value": expected.client_id},
        },
        params,
    )
    try:
        claims.validate(now=expected.now, leeway=expected.leeway)
    except ClaimError as error:
        raise _claim_fault(error, token.claims, expected) from error


def _claim_fault(error: ClaimError, claims: dict[str, Any], expected: Expected) -> SignInError:
    reason, value = CLAIM_FAULTS.get(error.claim, "bad_token"), claims.get(error.claim)
    if reason == "clock_skew" and (isinstance(value, bool) or not isinstance(value, int | float)):
        reason = "bad_token"
    if reason != "clock_skew":
        return fault(reason, detail=f"{error.error}: {error.claim}")
    seconds = int(claims[error.claim]) - expected.now
    expired = isinstance(error, ExpiredTokenError)
    what = f"it expired {_spell(-seconds)} ago" if expired else f"it begins in {_spell(seconds)}"
    message = f"By this server's clock the proof of identity is not valid: {what}."
    return fault("clock_skew", message=message, detail=f"{error.claim} is off by {seconds} s")


def _spell(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"
