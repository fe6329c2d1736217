"""What a provider tells about itself: where its discovery document is, and the part of it that is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.identity.addresses import secure_or_loopback
from app.identity.faults import fault
from app.identity.id_token import allowed_algorithms

_REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_ENDPOINTS = (*_REQUIRED, "userinfo_endpoint", "end_session_endpoint")


def discovery_address(issuer: str) -> str:
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of the discovery document that is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    auth_methods: tuple[str, ...]
    algorithms: tuple[str, ...]
    names_itself: bool

    @classmethod
    def of(cls, document: Mapping[str, Any], configured: str) -> Metadata:
        """Raises SignInError for a document that is not whole, of another issuer than `configured`, or unsafe."""
        issuer = document.get("issuer")
        if not isinstance(issuer, str) or issuer.rstrip("/") != configured.rstrip("/"):
            raise fault("provider_metadata", detail=f"issuer is {issuer!r}")
        found = {name: str(document.get(name) or "") for name in _ENDPOINTS}
        missing = [name for name in _REQUIRED if not found[name]]
        if missing:
            raise fault("provider_metadata", detail=f"missing {', '.join(missing)}")
        unsafe = [name for name, url in found.items() if url and not secure_or_loopback(url)]
        if unsafe:
            raise fault("provider_metadata", detail=f"not https: {', '.join(unsafe)}")
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return cls(
            issuer=issuer,
            **found,
            auth_methods=tuple(methods),
            algorithms=allowed_algorithms(
                document.get("id_token_signing_alg_values_supported") or ()
            ),
            names_itself=bool(document.get("authorization_response_iss_parameter_supported")),
        )
