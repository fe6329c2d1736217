"""Words for what the machine does to a sync: a full disk, a database that does not answer."""

from __future__ import annotations

import errno

from sqlalchemy.exc import DBAPIError

FULL = ("database or disk is full", "no space left", "disk full", "could not extend file")


def told(error: BaseException) -> tuple[str, str] | None:
    """Cause and fix; None for an error that is not the machine's."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _full("The disk is full.")
    if not isinstance(error, DBAPIError):
        return None
    if any(words in str(error.orig).lower() for words in FULL):
        return _full("The disk of the database is full.")
    if error.connection_invalidated or "OperationalError" in type(error).__name__:
        return (
            "The database did not take the change.",
            "Check that it is up and not locked by another program; the next sync goes on where this one stopped.",
        )
    return None


def _full(cause: str) -> tuple[str, str]:
    return cause, "Free some space; the next sync goes on where this one stopped."
