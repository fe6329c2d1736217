"""Document ids: a folder, its UIDVALIDITY and the message's UID, which RFC 3501 (2.3.1.1) promises never to use again.

Not the Message-ID: a sender chooses that, so a second message could take the place, and the readers, of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class Place:
    """A folder as one person has it, or a shared folder (`login` is empty)."""

    login: str
    folder: str
    uidvalidity: int

    @property
    def prefix(self) -> str:
        start = f"own/{quote(self.login, safe='')}" if self.login else "shared"
        return f"{start}/{quote(self.folder, safe='')}/{self.uidvalidity}/"

    @property
    def group(self) -> str:
        """The source group whose members the folder's ACL admits: a new ACL changes the group, not the documents."""
        return f"folder:{self.uidvalidity}:{self.folder}"

    def id(self, uid: int, part: int = 0) -> str:
        return f"{self.prefix}{uid}" + (f"/{part}" if part else "")


def read_id(id: str) -> tuple[Place, int] | None:
    """The place and the UID, of the message also for an attachment; None for what is no id of ours."""
    parts = id.split("/")
    try:
        if parts[0] == "own" and len(parts) in {5, 6}:
            place = Place(unquote(parts[1]), unquote(parts[2]), int(parts[3]))
            return place, int(parts[4])
        if parts[0] == "shared" and len(parts) in {4, 5}:
            return Place("", unquote(parts[1]), int(parts[2])), int(parts[3])
    except ValueError:
        return None
    return None
