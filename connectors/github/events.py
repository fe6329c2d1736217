"""Webhooks (docs.github.com, "Validating webhook deliveries", "Webhook events and payloads")."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from connectors.contract import BadEvent, Event, Handled

MOST_COMMITS = 2048
"""A push names no more; beyond it the whole tree is looked at."""
_ISSUE = {"issues", "issue_comment", "pull_request", "pull_request_review"}
_ISSUE |= {"pull_request_review_comment"}
_PEOPLE = {"member", "membership", "team", "team_add", "organization", "org_block"}


def issue_id(repository: str, number: int) -> str:
    return f"{repository}/issues/{number}"


def file_id(repository: str, path: str) -> str:
    return f"{repository}/files/{path}"


def verify(event: Event, secret: str) -> None:
    """Raises BadEvent unless GitHub signed this body with the secret."""
    if not secret:
        raise BadEvent("No webhook secret is set.")
    given = event.headers.get("x-hub-signature-256", "")
    expected = "sha256=" + hmac.new(secret.encode(), event.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise BadEvent("The signature is wrong.")


def meaning(event: Event) -> Handled:
    """Raises BadEvent for a body that is none of GitHub's."""
    kind = event.headers.get("x-github-event", "")
    try:
        body = json.loads(event.body)
        if kind in _ISSUE:
            number = (body.get("issue") or body.get("pull_request"))["number"]
            moved = str(body.get("action")) == "transferred"
            return Handled(ids=(issue_id(_repository(body), int(number)),), content=moved)
        if kind == "push":
            return _push(body)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadEvent("The body is no event of GitHub's.") from None
    if kind in {"repository", "public"}:
        return Handled(content=True, groups=True)
    return Handled(groups=kind in _PEOPLE)


def _push(body: Mapping[str, Any]) -> Handled:
    repository = body["repository"]
    if body["ref"] != f"refs/heads/{repository['default_branch']}":
        return Handled()
    commits = body.get("commits") or ()
    if body.get("forced") or body.get("created") or len(commits) >= MOST_COMMITS:
        return Handled(content=True)
    paths = {
        p for c in commits for key in ("added", "removed", "modified") for p in c.get(key) or ()
    }
    return Handled(ids=tuple(file_id(_repository(body), path) for path in sorted(paths)))


def _repository(body: Mapping[str, Any]) -> str:
    return str(body["repository"]["id"])
