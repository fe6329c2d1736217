"""What a connector raises when its source as a whole cannot be read."""

from __future__ import annotations


class SourceFault(Exception):
    """The whole source cannot be read now: `message` says why, `fix` what to do.

    `passing` is True for what may be over by itself (a network fault, a busy server): the credential is not to blame.
    """

    def __init__(self, message: str, fix: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.passing = passing
