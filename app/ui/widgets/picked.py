"""A model that was picked by hand and did not answer: which, and why, for the line above the answer."""

from __future__ import annotations

from app.domain import Receipt
from app.routing.choice import AUTO, BUT
from app.ui.widgets.choices import short_label


def instead_of(receipt: Receipt, wish: str | None) -> str:
    """`you chose Assist, but an admin switched it off`; empty where the model that was picked answered, or nobody did."""
    if wish in (None, "", AUTO) or not receipt.model or receipt.model == wish:
        return ""
    if any(part.model == wish for part in receipt.parts):
        return ""
    considered = receipt.route.decisions if receipt.route else ()
    picked = next((d for d in considered if d.model == wish), None)
    if picked is None:
        return ""
    chose = f"you chose {short_label(picked.label)}"
    if picked.allowed:
        # What went wrong then may name a server; *Why this answer* has the words for it.
        tried = next((a for a in receipt.attempts if a.model == wish), None)
        slower = tried is not None and tried.allowed
        return f"{chose}, but {'another one spoke sooner' if slower else 'it did not answer'}"
    why = picked.reason.removeprefix(BUT).rstrip(".")
    return f"{chose}: {why}" if why[:1].isupper() else f"{chose}, but {why}"
