"""The identity provider, seen from here: an OpenID Connect client on Authlib's async HTTP client.

Discovery and keys are cached for an hour and keys are fetched again when a token is signed with an unknown one. Every
request has 5 seconds in all. All of it is async: the demo issuer answers on the same event loop.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.common.urls import add_params_to_uri
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.domain import now
from app.errors import SignInError
from app.identity.addresses import host_of, is_loopback
from app.identity.claims import ClaimNames, Proof, prove, read
from app.identity.discovery import Metadata, discovery_address
from app.identity.faults import fault
from app.identity.id_token import Expected, KeyNotFound, verify

CACHE_FOR = timedelta(hours=1)
# A hint of many groups would not fit into an address; the client id says enough then.
LONGEST_HINT = 4000


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """`inner` replaces the public address `outer` in requests that this server makes itself (the demo issuer's loopback)."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: str
    claims: ClaimNames
    clock_skew_s: int
    timeout_s: float = 5.0
    outer: str = ""
    inner: str = ""


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """For the pre-flight. `skew_s` is the provider's clock minus ours, None when it sends no date."""

    issuer: str
    skew_s: float | None
    algorithms: tuple[str, ...]
    signs_out: bool


class Provider:
    """One configured provider. Raises SignInError with a reason of `app.identity.faults`."""

    def __init__(self, config: ProviderConfig, clock: Callable[[], datetime] = now) -> None:
        self.config = config
        self._clock = clock
        self._tls: ssl.SSLContext | None = None
        self._metadata: tuple[datetime, Metadata] | None = None
        self._keys: tuple[datetime, KeySet] | None = None

    async def metadata(self) -> Metadata:
        """The discovery document, at most an hour old."""
        if self._metadata is None or self._clock() - self._metadata[0] > CACHE_FOR:
            document = await self._get_json(discovery_address(self.config.issuer))
            self._metadata = (self._clock(), Metadata.of(document, self.config.issuer))
        return self._metadata[1]

    async def authorization_url(
        self, *, state: str, nonce: str, verifier: str, redirect_uri: str
    ) -> str:
        """Where to send the browser."""
        metadata = await self.metadata()
        async with self._client(metadata.token_endpoint) as client:
            url, _state = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=state,
                code_verifier=verifier,
                nonce=nonce,
                redirect_uri=redirect_uri,
                scope=self.config.scopes,
            )
        return str(url)

    async def check_answer(self, issuer: str) -> None:
        """RFC 9207: a provider that names itself in its answers must name itself. Guards against mix-up."""
        metadata = await self.metadata()
        if (issuer or metadata.names_itself) and issuer != metadata.issuer:
            raise fault("wrong_issuer", detail="iss of the authorization response")

    async def redeem(self, *, code: str, verifier: str, nonce: str, redirect_uri: str) -> Proof:
        """Trades the code for a verified identity."""
        metadata = await self.metadata()
        token = await self._exchange(metadata, code, verifier, redirect_uri)
        id_token = token.get("id_token")
        if not isinstance(id_token, str) or not id_token:
            raise fault("id_token_missing")
        access_token = str(token.get("access_token") or "")
        expected = Expected(
            issuer=metadata.issuer,
            client_id=self.config.client_id,
            nonce=nonce,
            now=int(self._clock().timestamp()),
            leeway=self.config.clock_skew_s,
            access_token=access_token,
        )
        claims = await self._verified(id_token, metadata, expected)
        if self._incomplete(claims) and metadata.userinfo_endpoint and access_token:
            claims = await self._userinfo(metadata, access_token, claims) | claims
        return prove(claims, self.config.claims, id_token)

    async def sign_out_url(self, id_token: str, return_to: str) -> str | None:
        """The provider's sign-out page, or None when it has none or cannot be asked now."""
        try:
            endpoint = (await self.metadata()).end_session_endpoint
        except SignInError:
            return None
        if not endpoint:
            return None
        params = {"post_logout_redirect_uri": return_to, "client_id": self.config.client_id}
        if id_token and len(id_token) <= LONGEST_HINT:
            params["id_token_hint"] = id_token
        return str(add_params_to_uri(endpoint, list(params.items())))

    async def check(self) -> ProviderCheck:
        """Asks the provider anew, for the pre-flight: is it there, is it whole, do the clocks agree."""
        response = await self._get(discovery_address(self.config.issuer))
        metadata = Metadata.of(_json_object(response), self.config.issuer)
        await self._fetch_keys(metadata)
        try:
            told = parsedate_to_datetime(response.headers.get("date", ""))
            skew: float | None = (told - self._clock()).total_seconds()
        except (ValueError, TypeError):
            skew = None
        return ProviderCheck(
            metadata.issuer, skew, metadata.algorithms, bool(metadata.end_session_endpoint)
        )

    async def _exchange(
        self, metadata: Metadata, code: str, verifier: str, redirect_uri: str
    ) -> dict[str, Any]:
        address = self._inner(metadata.token_endpoint)
        try:
            with anyio.fail_after(self.config.timeout_s):
                async with self._client(address, _auth_method(metadata, self.config)) as client:
                    return dict(
                        await client.fetch_token(
                            address,
                            grant_type="authorization_code",
                            code=code,
                            code_verifier=verifier,
                            redirect_uri=redirect_uri,
                        )
                    )
        except AuthlibBaseError as error:
            raise fault(_refusal(error.error), detail=f"token endpoint: {error.error}") from error
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _http_fault(error, "token endpoint") from error
        except (ValueError, TypeError) as error:
            raise fault("provider_nonsense", detail=f"token endpoint: {error}") from error

    async def _verified(
        self, id_token: str, metadata: Metadata, expected: Expected
    ) -> dict[str, Any]:
        """Checks the token; a key that is not in the cached set is looked for once in a fresh one."""
        if self._keys and self._clock() - self._keys[0] <= CACHE_FOR:
            try:
                return verify(id_token, self._keys[1], metadata.algorithms, expected)
            except KeyNotFound:
                pass  # the provider may have rotated its keys since: look again below
        keys = await self._fetch_keys(metadata)
        try:
            return verify(id_token, keys, metadata.algorithms, expected)
        except KeyNotFound as error:
            raise fault("bad_signature", detail=str(error)) from error

    async def _fetch_keys(self, metadata: Metadata) -> KeySet:
        document = await self._get_json(metadata.jwks_uri)
        try:
            keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise fault("provider_metadata", detail=f"keys: {type(error).__name__}") from error
        self._keys = (self._clock(), keys)
        return keys

    def _incomplete(self, claims: Mapping[str, Any]) -> bool:
        wanted = self.config.claims.groups
        return not claims.get("email") or (bool(wanted) and read(claims, wanted) is None)

    async def _userinfo(
        self, metadata: Metadata, access_token: str, claims: Mapping[str, Any]
    ) -> dict[str, Any]:
        document = await self._get_json(metadata.userinfo_endpoint, access_token)
        if document.get("sub") != claims.get("sub"):
            raise fault("userinfo_mismatch")
        return document

    async def _get_json(self, url: str, access_token: str = "") -> dict[str, Any]:
        return _json_object(await self._get(url, access_token))

    async def _get(self, url: str, access_token: str = "") -> httpx2.Response:
        address = self._inner(url)
        headers = {"Accept": "application/json"}
        if access_token:
            headers["Authorization"] = f"Bearer {access_token}"
        try:
            with anyio.fail_after(self.config.timeout_s):
                async with self._client(address) as client:
                    response: httpx2.Response = await client.request(
                        "GET", address, withhold_token=True, headers=headers
                    )
                    return response.raise_for_status()
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _http_fault(error, host_of(url)) from error

    def _client(self, address: str, method: str = "none") -> AsyncOAuth2Client:
        """A client for one exchange, since Authlib's keeps its token. Loopback never goes through a proxy."""
        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
        client_id, secret = self.config.client_id, self.config.client_secret
        if method == "client_secret_basic":  # RFC 6749, 2.3.1: form-encoded first
            client_id, secret = quote(client_id, safe=""), quote(secret, safe="")
        return AsyncOAuth2Client(
            client_id=client_id,
            client_secret=secret,
            token_endpoint_auth_method=method,
            code_challenge_method="S256",
            timeout=self.config.timeout_s,
            verify=self._tls,
            trust_env=not is_loopback(host_of(address)),
        )

    def _inner(self, url: str) -> str:
        outer, inner = self.config.outer, self.config.inner
        return inner + url.removeprefix(outer) if outer and url.startswith(outer + "/") else url


def _auth_method(metadata: Metadata, config: ProviderConfig) -> str:
    if not config.client_secret:
        return "none"
    offered = metadata.auth_methods
    if "client_secret_basic" not in offered and "client_secret_post" in offered:
        return "client_secret_post"
    return "client_secret_basic"


def _refusal(error: str | None) -> str:
    if error == "invalid_grant":
        return "code_refused"
    if error in ("invalid_client", "unauthorized_client"):
        return "client_refused"
    return "provider_error"


def _http_fault(error: Exception, where: str) -> SignInError:
    if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code < 500:
        status = error.response.status_code
        return fault(
            "provider_metadata" if status == 404 else "provider_error", detail=f"{where}: {status}"
        )
    return fault("provider_down", detail=f"{where}: {type(error).__name__}")


def _json_object(response: httpx2.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise fault("provider_nonsense", detail="not JSON") from error
    if not isinstance(document, dict):
        raise fault("provider_nonsense", detail="no JSON object")
    return document
