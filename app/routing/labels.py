"""What people see of a model: one line, short enough for a list, and no other model's."""

from __future__ import annotations

from collections.abc import Collection

from app.errors import InputError

LONGEST_LABEL = 60


def checked_label(given: str, others: Collection[str]) -> str:
    """Raises InputError for none, for one that no list has room for, and for one that another model has: in a list nobody
    could tell them apart."""
    label = " ".join(given.split())
    if not label:
        raise InputError("What people see: a model needs a name.")
    if len(label) > LONGEST_LABEL:
        raise InputError(
            f"What people see: at most {LONGEST_LABEL} characters; this has {len(label)}.",
            fix="Give it a shorter name.",
        )
    same = next((other for other in others if other.casefold() == label.casefold()), "")
    if same:
        raise InputError(
            f"What people see: there is a model called “{same}” already.",
            fix="Give this one another name.",
        )
    return label
