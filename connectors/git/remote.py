"""The repository at its address: smart HTTP with a token, or a folder on this server."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from connectors.contract import SourceFault

if TYPE_CHECKING:
    from dulwich.client import GitClient
    from dulwich.repo import Repo

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Remote:
    url: str
    username: str = ""
    token: str = field(default="", repr=False)

    def fetch(
        self, repo: Repo, wanted: Callable[..., list[bytes]], progress: Callable[[bytes], None]
    ) -> str:
        """Brings what `wanted` chooses of the refs; returns the default branch's name. Raises `SourceFault`."""
        from dulwich.client import HTTPProxyUnauthorized, HTTPUnauthorized
        from dulwich.errors import GitProtocolError, HangupException, NotGitRepository

        client, path = self._client()
        try:
            result = client.fetch(path, repo, determine_wants=_typed(wanted), progress=progress)
        except HTTPUnauthorized:
            raise self._refused() from None
        except NotGitRepository:
            raise self._absent() from None
        except HTTPProxyUnauthorized:
            raise SourceFault(
                "The web proxy asks for a credential.", "Enter it in the proxy's address."
            ) from None
        except HangupException:
            raise self._away("the connection ended") from None
        except GitProtocolError as error:
            raise self._fault(str(error)) from None
        head = result.symrefs.get(b"HEAD", b"")  # type: ignore[call-overload]
        return str(head.decode(errors="replace")).removeprefix("refs/heads/")

    def _client(self) -> tuple[GitClient, str]:
        from dulwich.client import HttpGitClient, LocalGitClient
        from dulwich.config import ConfigFile

        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https"):
            path = unquote(parts.path) if parts.scheme == "file" else self.url
            if not Path(path).is_dir():
                raise self._absent()
            return LocalGitClient(config=ConfigFile(), quiet=True), path
        client = HttpGitClient(
            f"{parts.scheme}://{parts.netloc}",
            config=ConfigFile(),
            username=(self.username or "git") if self.token else None,
            password=self.token or None,
            timeout=TIMEOUT_S,
            quiet=True,
        )
        return client, parts.path

    def _fault(self, told: str) -> SourceFault:
        status = re.search(r"unexpected http resp (\d+)", told)
        if status is None:
            return self._away("the connection failed")
        if status[1] in ("401", "403"):
            return self._refused()
        return self._away(f"it answered {status[1]}")

    def _refused(self) -> SourceFault:
        if not self.token:
            return SourceFault(
                f"{self.url} wants a token.", "Enter one that may read the repository's contents."
            )
        return SourceFault(
            f"{self.url} refuses the token.",
            "Make a new one that may read the repository's contents, and enter it.",
        )

    def _absent(self) -> SourceFault:
        return SourceFault(
            f"There is no git repository at {self.url}, or the token may not see it.",
            "Correct the address, or let the token read this repository.",
        )

    def _away(self, why: str) -> SourceFault:
        return SourceFault(
            f"{self.url} cannot be reached: {why}.",
            "Wait and sync again; if it stays, check the address and the network.",
            passing=True,
        )


def _typed(wanted: Callable[..., list[bytes]]) -> Any:
    """The library's own types for object names are aliases of bytes."""
    return wanted
