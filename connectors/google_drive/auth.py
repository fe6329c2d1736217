"""A service account that acts for a person (developers.google.com, "Using OAuth 2.0 for Server to Server Applications"): a
signed statement buys a token for an hour; a refused token is bought anew once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from connectors.contract import Context, SourceFault
from connectors.http_answers import body_json

DRIVE = "https://www.googleapis.com/auth/drive.readonly"
GROUPS = "https://www.googleapis.com/auth/admin.directory.group.readonly"
USERS = "https://www.googleapis.com/auth/admin.directory.user.readonly"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_S = 3600
MARGIN_S = 120
_BUSY = {"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded"}
_BUSY |= {"quotaExceeded", "backendError"}


class NoSuchAccount(SourceFault):
    """Google gives no token for this person: unknown, suspended, or of another company."""


@dataclass(frozen=True, slots=True)
class Key:
    """A service account's key file. `pem` never shows in a representation."""

    email: str
    key_id: str
    token_uri: str
    pem: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Key:
        """Raises SourceFault for what is no service account's key."""
        try:
            row = json.loads(text)
            if row["type"] != "service_account":
                raise KeyError("type")
            return cls(
                str(row["client_email"]),
                str(row.get("private_key_id") or ""),
                str(row["token_uri"]),
                str(row["private_key"]),
            )
        except (ValueError, KeyError, TypeError):
            raise SourceFault(
                "The key is not the JSON file of a service account's key.",
                "Create a JSON key for the service account and paste the whole file.",
            ) from None

    def signed(self, claims: Mapping[str, Any]) -> str:
        """A JWT with RS256. Raises SourceFault for a private key that cannot be read."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa

        try:
            private = serialization.load_pem_private_key(self.pem.encode(), None)
        except (ValueError, TypeError):
            private = None
        if not isinstance(private, rsa.RSAPrivateKey):
            raise SourceFault("The key file's private key cannot be read.", "Create a new key.")
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        text = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        signature = private.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return (text + b"." + _base64(signature)).decode()


class Tokens:
    """Tokens by person and scopes, kept until shortly before they end."""

    def __init__(self, context: Context, key: Key) -> None:
        self._http = context.http.at(key.token_uri)
        self._key = key
        self._now: Callable[[], float] = lambda: context.clock().timestamp()
        self._kept: dict[tuple[str, str], tuple[str, float]] = {}

    def get(self, subject: str, scopes: str) -> str:
        """Raises NoSuchAccount, SourceFault."""
        token, ends = self._kept.get((subject, scopes), ("", 0.0))
        if not token or self._now() >= ends - MARGIN_S:
            token, ends = self._buy(subject, scopes)
            self._kept[subject, scopes] = token, ends
        return token

    def forget(self, subject: str, scopes: str) -> None:
        self._kept.pop((subject, scopes), None)

    def _buy(self, subject: str, scopes: str) -> tuple[str, float]:
        now = int(self._now())
        claims = {
            "iss": self._key.email,
            "sub": subject,
            "scope": scopes,
            "aud": self._key.token_uri,
            "iat": now,
            "exp": now + LIFE_S,
        }
        form = {"grant_type": GRANT, "assertion": self._key.signed(claims)}
        response = self._http.request(
            "POST", self._key.token_uri, data=form, repeat=True, accept=(400, 401, 403)
        )
        body = body_json(response)
        if response.status_code >= 400 or not isinstance(body, dict):
            raise _refused(body if isinstance(body, dict) else {}, subject)
        token = body.get("access_token")
        if not isinstance(token, str):
            raise SourceFault("Google's token address gave no token.", "Check the key file.")
        return token, now + float(body.get("expires_in") or LIFE_S)


class DelegatedAuth(httpx.Auth):
    """Puts the token on, buys a new one when it is refused, and tells the HTTP client a spent quota in its own words: Google
    says 403 with a reason in the body ("Resolve errors", Drive API)."""

    def __init__(self, tokens: Tokens, subject: str, scopes: str) -> None:
        self._tokens = tokens
        self._subject = subject
        self._scopes = scopes

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        self._sign(request)
        response = yield request
        if response.status_code == 401:
            self._tokens.forget(self._subject, self._scopes)
            self._sign(request)
            response = yield request
        if response.status_code == 403:
            response.read()
            if reason(response) in _BUSY:
                response.status_code = 429

    def _sign(self, request: httpx.Request) -> None:
        token = self._tokens.get(self._subject, self._scopes)
        request.headers["Authorization"] = f"Bearer {token}"


def reason(response: httpx.Response) -> str:
    """Google's word for an error; empty where the body has none."""
    try:
        errors = response.json()["error"]["errors"]
        return str(errors[0]["reason"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""


def _refused(body: Mapping[str, Any], subject: str) -> SourceFault:
    code, text = str(body.get("error") or ""), str(body.get("error_description") or "")
    if code == "invalid_grant" and ("email" in text.lower() or "account" in text.lower()):
        return NoSuchAccount(
            f"Google knows no active account {subject}.", "Check the account's e-mail address."
        )
    if code in {"unauthorized_client", "access_denied", "invalid_scope"}:
        return SourceFault(
            "The service account may not act for the company's people.",
            "Give its client ID the scopes of the help under Domain-wide delegation; this can take an hour to work.",
        )
    return SourceFault(
        "Google does not accept the service account's key.",
        "It may have been deleted: create a new one and swap it here. Check this machine's clock too.",
    )


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
