"""What Confluence Cloud and Jira Cloud share: sign-in by e-mail and API token, accounts, signatures, sizes.

Sources: developer.atlassian.com, "Basic auth for REST APIs"; support.atlassian.com, "Manage webhooks" (secure admin webhooks).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field, SecretStr, field_validator

from connectors.contract import (
    BadEvent,
    ClassedSettings,
    Context,
    Event,
    Failure,
    Secrets,
    SourceFault,
)
from connectors.http import Http

Json = Mapping[str, Any]
TITLE_MAX = 300
"""Atlassian allows 255 characters; what is longer comes from a broken or hostile server."""
FAULTS_IN_A_ROW = 3
"""So many documents that cannot be read, one after the other, are the source's fault and not theirs."""
MIMES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


class SiteSettings(ClassedSettings):
    url: str = Field(
        title="Site address", description="Such as https://acme.atlassian.net, without a path."
    )
    email: str = Field(
        title="E-mail of the account", description="The account whose API token is used."
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip().rstrip("/").removesuffix("/wiki")
        if not address.startswith(("https://", "http://")):
            raise ValueError("enter an address that starts with https://")
        return address

    @field_validator("email")
    @classmethod
    def _mail(cls, value: str) -> str:
        if value.strip().count("@") != 1:
            raise ValueError("enter an e-mail address")
        return value.strip()


class SiteSecrets(Secrets):
    api_token: SecretStr = Field(
        title="API token",
        description="From id.atlassian.com, Security, API tokens.",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Webhook secret",
        description="Only for webhooks: the secret entered there. Empty: webhooks are refused.",
    )


@dataclass(frozen=True, slots=True)
class Account:
    """`email` is in lower case; empty where the account hides it. Apps and customers of help centres are no `person`."""

    id: str
    name: str
    email: str
    active: bool
    person: bool
    guest: bool

    @property
    def reads(self) -> bool:
        return self.active and self.person and bool(self.email)


def email_of(value: object) -> str:
    """In lower case; empty for what is no address."""
    email = value.strip().lower() if isinstance(value, str) else ""
    return email if email.count("@") == 1 else ""


def site(context: Context, settings: SiteSettings, secrets: SiteSecrets) -> Http:
    auth = (settings.email, secrets.api_token.get_secret_value())
    return context.http.at(settings.url, headers={"Accept": "application/json"}, auth=auth)


def rows(body: object, key: str) -> list[Json]:
    """The list of objects under `key`. Raises SourceFault for an answer of another shape."""
    found = body.get(key) if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise SourceFault(
            "The address does not answer as Atlassian Cloud does.",
            "Enter the site's address, such as https://acme.atlassian.net.",
        )
    return [row for row in found if isinstance(row, dict)]


def verified(event: Event, secret: str) -> Json:
    """The body of a webhook call whose `X-Hub-Signature: sha256=…` is right. Raises BadEvent."""
    given = event.headers.get("x-hub-signature", "")
    wanted = "sha256=" + hmac.new(secret.encode(), event.body, hashlib.sha256).hexdigest()
    if not secret or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise BadEvent("The signature is missing or wrong.")
    try:
        body = json.loads(event.body)
    except ValueError:
        raise BadEvent("The body is no JSON.") from None
    if not isinstance(body, dict):
        raise BadEvent("The body is no object.")
    return body


def mime_of(filename: str) -> str:
    """Empty for what the platform does not parse."""
    return MIMES.get(PurePosixPath(filename).suffix.lower(), "")


def digest(parts: Iterable[object]) -> str:
    return hashlib.sha256("\x00".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:16]


def one_line(text: object) -> str:
    return " ".join(text.split())[:TITLE_MAX] if isinstance(text, str) else ""


def too_large(id: str, name: str, size: int, limit: int) -> Failure:
    known = f"has {size / 1e6:.1f} MB" if size > limit else "is too large"
    cause = f"It {known}; the limit is {limit / 1e6:.1f} MB."
    return Failure(id, name, cause, "Raise the limit, or shorten it at the source.")


def unreadable(id: str, name: str = "") -> Failure:
    cause = "The source describes it in a way that cannot be read: fields are missing."
    return Failure(id, name or id, cause, "Open it at the source and save it once more.")
