"""Real repositories, made by the git command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.test",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.test",
}


class Repository:
    """A working tree. Each commit is a day after the one before, from 2026-01-01 on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._day = 0
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, day: int = 1, given: str = "") -> str:
        date = f"2026-01-{day:02}T12:00:00Z"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        run = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", "-c", "core.symlinks=true", *words],
            cwd=self.root,
            env={**ENVIRONMENT, **dates},
            input=given,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    def write(self, path: str, content: str | bytes = "# Title\n\nText.") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self) -> str:
        """Everything there is; returns the commit's name."""
        self._day += 1
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Change", day=self._day)
        return self.git("rev-parse", "HEAD")

    def files(self) -> dict[str, str]:
        """Path to blob, as git tells it."""
        lines = self.git("ls-tree", "-r", "-z", "HEAD").split("\0")
        pairs = (line.split("\t", 1) for line in lines if line)
        return {path: told.split()[2] for told, path in pairs}
