"""Push webhooks. Signatures as documented: GitHub (and Forgejo) `X-Hub-Signature-256`, Bitbucket `X-Hub-Signature`, Gitea
`X-Gitea-Signature`, all HMAC-SHA256 of the body; GitLab sends the secret itself in `X-Gitlab-Token`."""

from __future__ import annotations

import hashlib
import hmac
import json

from connectors.contract import BadEvent, Event, Handled

SIGNATURES = ("x-hub-signature-256", "x-hub-signature", "x-gitea-signature")


def handle_push(event: Event, secret: str, branch: str) -> Handled:
    """A push to another branch means nothing. Raises `BadEvent`."""
    if not secret or not _genuine(event, secret.encode()):
        raise BadEvent("The call's signature is missing or wrong.")
    pushed = _pushed_branch(event.body)
    if branch and pushed and pushed != branch:
        return Handled()
    return Handled(content=True, permissions=True)


def _genuine(event: Event, secret: bytes) -> bool:
    token = event.headers.get("x-gitlab-token")
    if token is not None:
        return hmac.compare_digest(token.encode(), secret)
    expected = hmac.new(secret, event.body, hashlib.sha256).hexdigest().encode()
    given = next((event.headers[name] for name in SIGNATURES if name in event.headers), "")
    return hmac.compare_digest(given.removeprefix("sha256=").encode(), expected)


def _pushed_branch(body: bytes) -> str:
    """Empty where the body does not say it in one place (Bitbucket) or is no push (a ping)."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    ref = told.get("ref") if isinstance(told, dict) else None
    prefix = "refs/heads/"
    return ref.removeprefix(prefix) if isinstance(ref, str) and ref.startswith(prefix) else ""
