"""An action request told in a line: a dot, a word, and what it means for the person who made it."""

from __future__ import annotations

from app.db.tables import ActionRequestRow
from app.ui.widgets.words import text

OPEN = ("waiting", "approved", "running")
STATUS = {
    "waiting": ("amber", "waiting"),
    "approved": ("grey", "starting"),
    "running": ("grey", "running"),
    "done": ("green", "done"),
    "rejected": ("red", "rejected"),
    "failed": ("red", "failed"),
}


def status_of(row: ActionRequestRow) -> tuple[str, str]:
    """Colour and word."""
    return STATUS.get(row.status, ("grey", row.status))


def request_line(row: ActionRequestRow, label: str, waits_for: str, decider: str) -> str:
    """`waits_for` says whose turn it is while it waits; `decider` is the name of who decided."""
    colour, word = status_of(row)
    return (
        f'<div class="sb-note" role="status"><span class="sb-dot sb-{colour}"></span>'
        f"<div><b>{text(label)}: {word}.</b> {_detail(row, waits_for, decider)}</div></div>"
    )


def _detail(row: ActionRequestRow, waits_for: str, decider: str) -> str:
    by = f" by {text(decider)}" if decider else ""
    match row.status:
        case "waiting":
            return text(f"{waits_for}. This line changes when it is decided.")
        case "done":
            said = text(row.outcome or "It is done")
            comment = f" “{text(row.decision_comment)}”" if row.decision_comment else ""
            return f"{said}.{f' Approved{by}.' if by else ''}{comment}".replace("..", ".")
        case "rejected":
            return f"Decided{by}: {text(row.decision_comment)}"
        case "failed":
            return text(row.error or "It could not be carried out.")
        case _:
            return "It is being carried out."
