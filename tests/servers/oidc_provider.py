"""A small OpenID provider of its own making, with a switch for each thing that a real one does wrong.

It shares no code with the app: tokens are signed with `cryptography`, requests are parsed by hand, and it speaks HTTP on a
free port of 127.0.0.1. `/authorize` signs `claims` in without asking, so a test follows redirects and is done.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import uvicorn
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "switchboard test/1"
CLIENT_SECRET = "s3cret+with%odd:characters"


@dataclass
class Faults:
    """What to do wrong. The defaults do everything right."""

    wrong_nonce: bool = False
    no_nonce: bool = False
    wrong_audience: bool = False
    second_audience: bool = False
    wrong_issuer: bool = False
    issuer_elsewhere: bool = False
    mixed_up: bool = False
    forged: bool = False
    expired_code: bool = False
    shift_s: int = 0
    life_s: int = 300
    algorithm: str = "RS256"
    bad_at_hash: bool = False
    no_id_token: bool = False
    no_kid: bool = False
    refuse_client: bool = False
    error: str = ""
    token_html: bool = False
    token_500: bool = False
    slow_s: float = 0.0
    userinfo_other_person: bool = False
    no_jwks: bool = False


@dataclass
class Offer:
    """What the provider has and says."""

    end_session: bool = True
    userinfo: bool = True
    groups_by_userinfo_only: bool = False
    secret_by_post: bool = False
    names_itself: bool = False


@dataclass
class OidcProvider:
    """`claims` is who signs in; `asked` counts requests by path."""

    port: int
    faults: Faults = field(default_factory=Faults)
    offer: Offer = field(default_factory=Offer)
    claims: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    last_sign_out: dict[str, str] = field(default_factory=dict)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    _keys: list[tuple[str, rsa.RSAPrivateKey]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.claims = {
            "sub": "u-1",
            "email": "Grace@Example.test",
            "email_verified": True,
            "name": "Grace Hopper",
            "team": "Engineering",
            "groups": ["engineers"],
        }
        self.rotate()

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    def rotate(self) -> None:
        """A new key signs, and the old one is no longer published."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._keys = [(secrets.token_hex(4), key)]

    def add_encryption_key_first(self) -> None:
        """A second RSA key in the set, for encryption, as some providers publish."""
        self._keys.append(("enc", rsa.generate_private_key(public_exponent=65537, key_size=2048)))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
                Route("/logout", self._logout),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        self._count(request)
        document: dict[str, Any] = {
            "issuer": "https://elsewhere.test" if self.faults.issuer_elsewhere else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=a",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_post" if self.offer.secret_by_post else "client_secret_basic"
            ],
        }
        if self.offer.end_session:
            document["end_session_endpoint"] = f"{self.issuer}/logout"
        if self.offer.userinfo:
            document["userinfo_endpoint"] = f"{self.issuer}/userinfo"
        if self.offer.names_itself:
            document["authorization_response_iss_parameter_supported"] = True
        return JSONResponse(document)

    async def _jwks(self, request: Request) -> Response:
        self._count(request)
        if self.faults.no_jwks:
            return JSONResponse({"keys": []})
        keys = []
        for kid, key in reversed(self._keys):
            numbers = key.public_key().public_numbers()
            keys.append(
                {
                    "kty": "RSA",
                    "use": "enc" if kid == "enc" else "sig",
                    "kid": kid,
                    "n": _b64(numbers.n.to_bytes(256, "big")),
                    "e": _b64(numbers.e.to_bytes(3, "big")),
                    "x5t#S256": "ignored",
                }
            )
        # A key type of the future must not spoil the set.
        return JSONResponse({"keys": [{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44"}, *keys]})

    async def _authorize(self, request: Request) -> Response:
        self._count(request)
        query = dict(request.query_params)
        assert query["code_challenge_method"] == "S256"
        assert query["tenant"] == "a"
        answer = {"state": query["state"]}
        if self.faults.error:
            answer |= {"error": self.faults.error, "error_description": "<b>because</b>"}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = query
            answer["code"] = code
        if self.offer.names_itself:
            answer["iss"] = "https://mix-up.test" if self.faults.mixed_up else self.issuer
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        self._count(request)
        if self.faults.slow_s:
            await asyncio.sleep(self.faults.slow_s)
        if self.faults.token_html:
            return PlainTextResponse("<html>gateway</html>")
        if self.faults.token_500:
            return PlainTextResponse("boom", 500)
        form = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
        if self.faults.refuse_client or not self._knows(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = _b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or self.faults.expired_code
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token = secrets.token_urlsafe(16)
        self._tokens[access_token] = dict(self.claims)
        token: dict[str, Any] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
        }
        if not self.faults.no_id_token:
            token["id_token"] = self._sign(self._id_claims(asked, access_token))
        return JSONResponse(token)

    async def _userinfo(self, request: Request) -> Response:
        self._count(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        claims = self._tokens.get(bearer)
        if claims is None:
            return JSONResponse({"error": "invalid_token"}, 401)
        other = {"sub": "somebody-else"} if self.faults.userinfo_other_person else {}
        return JSONResponse({**claims, **other})

    async def _logout(self, request: Request) -> Response:
        self._count(request)
        self.last_sign_out = dict(request.query_params)
        return RedirectResponse(self.last_sign_out["post_logout_redirect_uri"], 302)

    def _count(self, request: Request) -> None:
        self.asked[request.url.path] = self.asked.get(request.url.path, 0) + 1

    def _knows(self, request: Request, form: dict[str, str]) -> bool:
        if self.offer.secret_by_post:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        user, _, password = base64.b64decode(encoded or "").decode().partition(":")
        return kind == "Basic" and (unquote(user), unquote(password)) == (CLIENT_ID, CLIENT_SECRET)

    def _id_claims(self, asked: dict[str, str], access_token: str) -> dict[str, Any]:
        faults, moment = self.faults, int(time.time()) + self.faults.shift_s
        audience: Any = "another-app" if faults.wrong_audience else CLIENT_ID
        claims = {
            "iss": "https://elsewhere.test" if faults.wrong_issuer else self.issuer,
            "aud": [CLIENT_ID, "another-app"] if faults.second_audience else audience,
            "iat": moment,
            "exp": moment + faults.life_s,
            "nonce": "not-yours" if faults.wrong_nonce else asked["nonce"],
            **self.claims,
        }
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" if faults.bad_at_hash else _b64(half)
        if faults.no_nonce:
            del claims["nonce"]
        if self.offer.groups_by_userinfo_only:
            claims.pop("groups", None)
        return claims

    def _sign(self, claims: dict[str, Any]) -> str:
        kid, key = self._keys[0]
        header = {"alg": self.faults.algorithm, "typ": "JWT", "kid": kid}
        if self.faults.no_kid:
            del header["kid"]
        signed = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
        if self.faults.forged:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return f"{signed}.{_b64(self._signature(signed.encode(), key))}"

    def _signature(self, signed: bytes, key: rsa.RSAPrivateKey) -> bytes:
        if self.faults.algorithm == "none":
            return b""
        if (
            self.faults.algorithm == "HS256"
        ):  # the public key as a shared secret: the classic confusion
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            mac = hmac.HMAC(public, hashes.SHA256())
            mac.update(signed)
            return mac.finalize()
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(app: Any, port: int) -> Iterator[uvicorn.Server]:
    """Runs an ASGI app on 127.0.0.1 in a thread until the block ends."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        thread.join(timeout=10)
