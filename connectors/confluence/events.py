"""What a webhook call means (support.atlassian.com, "Manage webhooks"; developer.atlassian.com, "Confluence webhooks")."""

from __future__ import annotations

from connectors.atlassian import Json
from connectors.confluence.documents import page_id
from connectors.contract import Handled

FIELDS = {"page": "page", "blog": "blogpost", "blogpost": "blogpost"}


def meaning(body: Json) -> Handled:
    """A page, a blog post, a comment's or a file's page is read again; anything else is looked for."""
    event = str(body.get("event") or body.get("eventType") or body.get("webhookEvent") or "")
    permissions = "permission" in event or "restriction" in event
    groups = event.startswith(("group_", "user_", "space_permission"))
    found = {id for part in (body, *_parts(body)) for id in _pages(part)}
    return Handled(
        ids=tuple(sorted(found)),
        content=not (found or permissions or groups),
        permissions=permissions or event.endswith("_moved"),
        groups=groups,
    )


def _parts(body: Json) -> list[Json]:
    """Comments and files name the page they belong to."""
    parts = [body.get("comment"), body.get("attachment"), body.get("content")]
    attached = body.get("attachments")
    parts += attached if isinstance(attached, list) else []
    return [part for part in parts if isinstance(part, dict)]


def _pages(part: Json) -> list[str]:
    found = []
    for field, kind in FIELDS.items():
        found.append((kind, part.get(field)))
    for field in ("parent", "container", "attachedTo"):
        at = part.get(field)
        if isinstance(at, dict):
            found.append((FIELDS.get(str(at.get("contentType") or at.get("type")), ""), at))
    named = [(kind, str(at.get("id") or "")) for kind, at in found if isinstance(at, dict) and kind]
    return [page_id(kind, id) for kind, id in named if id.isdecimal()]
