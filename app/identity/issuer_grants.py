"""The demo issuer's protocol side: Authlib's authorization server, code grant, PKCE and OpenID extension, on Starlette."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidRequestError,
    OAuth2Payload,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.rpinitiated import EndSessionEndpoint
from joserfc.jwk import KeySet
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from app.identity.issuer_store import ALGORITHM, CodeStore, IssuedCode, KeyStore
from app.identity.opaque import new_token

SCOPES = ("openid", "profile", "email", "groups")
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DemoClient(ClientMixin):  # type: ignore[misc]
    """The one client there is: this app. Public (RFC 6749, 2.1), so PKCE is what proves it."""

    client_id: str
    redirect_uri: str
    signed_out_uri: str

    @property
    def client_metadata(self) -> dict[str, Any]:
        return {"post_logout_redirect_uris": [self.signed_out_uri]}

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(name for name in (scope or "openid").split() if name in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as read from the wire, so that the rest can run in a thread."""

    method: str
    uri: str
    headers: Headers
    query: Pairs
    form: Pairs = ()


class _Payload(OAuth2Payload):  # type: ignore[misc]
    def __init__(self, pairs: Pairs) -> None:
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return {name: values[-1] for name, values in self._lists.items()}

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, received: Received) -> None:
        super().__init__(received.method, received.uri, headers=received.headers)
        self.payload = _Payload([*received.query, *received.form])
        self._query, self._form = dict(received.query), dict(received.form)

    @property
    def args(self) -> dict[str, str]:
        return self._query

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, client: DemoClient, codes: CodeStore) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self.client = client
        self.codes = codes

    def query_client(self, client_id: str) -> DemoClient | None:
        return self.client if client_id == self.client.client_id else None

    def save_token(self, _token: object, _request: object) -> None:
        """Nothing here accepts an access token, so none is kept: the ID token says all."""

    def send_signal(self, _name: str, *_args: object, **_values: object) -> None:
        """Authlib's hook for frameworks with signals; Starlette has none."""

    def create_oauth2_request(self, request: Received | OAuth2Request) -> OAuth2Request:
        return _Request(request) if isinstance(request, Received) else request

    def handle_response(
        self, status: int, body: dict[str, Any] | str, headers: Sequence[tuple[str, str]]
    ) -> Response:
        if isinstance(body, dict):
            return JSONResponse(body, status, headers=dict(headers))
        return Response(body, status, headers={**dict(headers), "Cache-Control": "no-store"})


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """Answers to a person's key (a text) in place of a user object."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def generate_authorization_code(self) -> str:
        return new_token()

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        data = request.payload.data
        issued = IssuedCode(
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri or request.client.redirect_uri,
            scope=request.scope,
            nonce=data.get("nonce", ""),
            code_challenge=data["code_challenge"],
            code_challenge_method=data["code_challenge_method"],
            subject=request.user,
            auth_time=int(time.time()),
        )
        self.server.codes.keep(code, issued)

    def query_authorization_code(self, code: str, client: DemoClient) -> IssuedCode | None:
        found: IssuedCode | None = self.server.codes.take(code, client.client_id)
        return found

    def delete_authorization_code(self, _code: IssuedCode) -> None:
        """`take` has spent it already, so that even a failed try burns the code."""

    def authenticate_user(self, code: IssuedCode) -> str:
        return code.subject


class _Pkce(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256, never without."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("A code_challenge with S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class _OpenId(OpenIDCode):  # type: ignore[misc]
    def __init__(self, issuer: str, keys: KeyStore, claims: Mapping[str, dict[str, Any]]) -> None:
        super().__init__(require_nonce=True)
        self._issuer = issuer
        self._keys = keys
        self._claims = claims

    def exists_nonce(self, _nonce: str, _request: OAuth2Request) -> bool:
        """The client checks its own nonce, and codes work once: nothing to remember."""
        return False

    def resolve_client_private_key(self, _client: DemoClient) -> KeySet:
        return self._keys.keys()

    def get_client_algorithm(self, _client: DemoClient) -> str:
        return ALGORITHM

    def get_encode_header(self, _client: DemoClient) -> dict[str, str]:
        return {"alg": ALGORITHM, "kid": str(self._keys.keys().keys[0].kid)}

    def get_client_claims(self, client: DemoClient) -> dict[str, Any]:
        return {"iss": self._issuer, "aud": [client.client_id]}

    def generate_user_info(self, user: str, _scope: str) -> dict[str, Any]:
        return dict(self._claims[user])


class _EndSession(EndSessionEndpoint):  # type: ignore[misc]
    def __init__(self, server: _Server, keys: KeyStore) -> None:
        super().__init__(server)
        self._keys = keys

    def get_server_jwks(self) -> KeySet:
        return self._keys.keys()

    def get_algorithms(self) -> list[str]:
        return [ALGORITHM]

    def end_session(self, _request: object) -> None:
        """The issuer asks at every sign-in and remembers nobody: there is nothing to end."""


def make_server(
    issuer: str,
    client: DemoClient,
    codes: CodeStore,
    keys: KeyStore,
    claims: Mapping[str, dict[str, Any]],
) -> AuthorizationServer:
    """An Authlib server for one client. `claims` maps a person's key to the claims of the ID token."""
    server = _Server(client, codes)
    server.register_token_generator(
        "default",
        BearerTokenGenerator(
            access_token_generator=lambda *_args, **_values: new_token(), expires_generator=300
        ),
    )
    server.register_grant(_CodeGrant, [_Pkce(required=True), _OpenId(issuer, keys, claims)])
    server.register_endpoint(_EndSession(server, keys))
    return server
