"""One signed-in connection, only reading (EXAMINE and PEEK: no message is marked as read), and faults in words."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.contract import SourceFault
from connectors.imap.settings import ImapSettings, Person

if TYPE_CHECKING:
    from imapclient import IMAPClient

CONNECT_S, READ_S = 10, 60
SKIPPED = {b"\\noselect", b"\\nonexistent", b"\\trash", b"\\junk", b"\\drafts", b"\\all"}


@dataclass(frozen=True, slots=True)
class Folder:
    """`shared` is whether it lies outside of the person's own namespace; `owner` the login it belongs to, if any."""

    name: str
    shared: bool
    owner: str = ""


class Session:
    def __init__(self, client: IMAPClient, person: Person) -> None:
        self.client = client
        self.person = person

    def folders(self) -> list[Folder]:
        """Those that can be opened, without trash, junk and drafts (RFC 6154)."""
        other, shared = self._namespaces()
        found = []
        for flags, separator, name in self.client.list_folders():
            if {flag.lower() for flag in flags} & SKIPPED:
                continue
            text = name if isinstance(name, str) else name.decode("utf-8", "replace")
            delimiter = (separator or b"/").decode()
            theirs = next((p for p in other if p and text.startswith(p)), "")
            is_shared = bool(theirs) or any(text.startswith(p) for p in shared if p)
            owner = text[len(theirs) :].split(delimiter)[0] if theirs else ""
            found.append(Folder(text, is_shared, owner))
        return found

    def _namespaces(self) -> tuple[list[str], list[str]]:
        if not self.client.has_capability("NAMESPACE"):
            return [], []
        spaces = self.client.namespace()
        return [p for p, _ in spaces.other or ()], [p for p, _ in spaces.shared or ()]

    def status(self, folder: str) -> dict[str, int] | None:
        """UIDVALIDITY, UIDNEXT, MESSAGES and where there is CONDSTORE HIGHESTMODSEQ; None when it may not be read."""
        from imapclient.exceptions import IMAPClientError

        items = ["UIDVALIDITY", "UIDNEXT", "MESSAGES"]
        if self.client.has_capability("CONDSTORE"):
            items.append("HIGHESTMODSEQ")
        try:
            found = self.client.folder_status(folder, items)
        except IMAPClientError as error:
            _raise_unless_denied(error)
            return None
        return {key.decode(): int(value) for key, value in found.items()}

    def open(self, folder: str) -> int | None:
        """Its UIDVALIDITY; None when it is gone or may not be read."""
        from imapclient.exceptions import IMAPClientError

        try:
            return int(self.client.select_folder(folder, readonly=True)[b"UIDVALIDITY"])
        except IMAPClientError as error:
            _raise_unless_denied(error)
            return None

    def acl(self, folder: str) -> list[tuple[str, str]] | None:
        """None when this account may not see it (the right `a` is needed)."""
        from imapclient.exceptions import IMAPClientError

        if not self.client.has_capability("ACL"):
            return None
        try:
            lines = self.client.getacl(folder)
        except IMAPClientError as error:
            _raise_unless_denied(error)
            return None
        return [(_text(who), _text(rights)) for who, rights in lines]

    def may_open(self, folder: str) -> bool:
        """By MYRIGHTS, or by opening it where the server has no ACL."""
        if not self.client.has_capability("ACL"):
            return self.open(folder) is not None
        answer, (line,) = self.client._imap.myrights(self.client._normalise_folder(folder))
        rights = line.rsplit(b" ", 1)[-1] if isinstance(line, bytes) else b""
        return answer == "OK" and {ord("l"), ord("r")} <= set(rights)

    def uids(self) -> list[int]:
        return sorted(self.client.search("UNDELETED"))

    def fetch(self, uids: Sequence[int], *items: str) -> dict[int, dict[bytes, Any]]:
        return dict(self.client.fetch(list(uids), list(items))) if uids else {}


def _raise_unless_denied(error: Exception) -> None:
    """Refused or gone is an answer; anything else, such as a server that is busy, is a fault."""
    words = str(error).lower()
    known = ("permission denied", "noperm", "nonexistent", "doesn't exist", "administrator priv")
    if not any(word in words for word in known):
        raise error


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def signed_in(settings: ImapSettings, secret: str, person: Person) -> Iterator[Session]:
    """Raises SourceFault, also for whatever breaks while it is used."""
    from imapclient.exceptions import IMAPClientError

    try:
        client = _connect(settings)
        try:
            _login(client, settings, secret, person)
            yield Session(client, person)
        finally:
            with contextlib.suppress(OSError, IMAPClientError):
                client.logout()
    except ssl.SSLError as error:
        raise SourceFault(
            f"The server's certificate is not trusted ({error.reason}).",
            "Enter the name that the certificate is for, or a CA file that it is signed by.",
        ) from None
    except OSError as error:
        raise SourceFault(
            f"The mail server {settings.host} cannot be reached ({error.strerror or error}).",
            "Check the server, port and encryption.",
            passing=True,
        ) from None
    except IMAPClientError as error:
        words = str(error).replace(secret, "***")[:200]
        raise SourceFault(
            f"The mail server answered: {words}.", "Try again; its log says more.", passing=True
        ) from None


def _connect(settings: ImapSettings) -> IMAPClient:
    from imapclient import IMAPClient, SocketTimeout

    context = ssl.create_default_context(cafile=settings.ca_file or None)
    tls = settings.security == "tls"
    client = IMAPClient(
        settings.host,
        port=settings.port or (993 if tls else 143),
        ssl=tls,
        ssl_context=context if tls else None,
        timeout=SocketTimeout(CONNECT_S, READ_S),
    )
    if settings.security == "starttls":
        client.starttls(context)
    return client


def _login(client: IMAPClient, settings: ImapSettings, secret: str, person: Person) -> None:
    from imapclient.exceptions import LoginError

    try:
        if settings.auth == "oauth2":
            client.oauth2_login(settings.user, secret)
        elif settings.persons:
            client.login(f"{person.login}{settings.separator}{settings.user}", secret)
        else:
            client.login(settings.user, secret)
    except LoginError:
        raise SourceFault(
            f"The mail server refused the sign-in for {person.login}.",
            "Enter the password or token anew; check the login, and the master user's rights.",
        ) from None
