"""Parse in another process, so that a document that hangs, bursts or crashes its parser ends that process and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from app.domain import Json
from app.errors import DocumentError
from app.knowledge.ingest.parsed import Parsed, Section
from app.knowledge.ingest.worker import read_frame, write_frame

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 30.0


class ParserProcess:
    """Started at the first document and kept for the next ones; one document at a time. `close` ends it."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._one = threading.Lock()

    def __enter__(self) -> ParserProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parse(self, content: bytes, mime: str) -> Parsed:
        """Raises DocumentError with cause and fix, also when the parser took longer than the limit or died."""
        with self._one:
            answer = self._ask(content, mime)
        if "cause" in answer:
            raise DocumentError(
                str(answer["cause"]), fix=str(answer["fix"]), detail=str(answer.get("detail", ""))
            )
        sections = tuple(Section(tuple(path), text) for path, text in answer["sections"])
        return Parsed(str(answer["title"]), sections)

    def close(self) -> None:
        with self._one:
            self._end()

    def _ask(self, content: bytes, mime: str) -> Json:
        process = self._started()
        late = threading.Event()

        def kill() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._timeout_s, kill)
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            write_frame(process.stdin, {"mime": mime}, content)
            frame = read_frame(process.stdout)
        except (BrokenPipeError, OSError):
            frame = None
        finally:
            timer.cancel()
        if frame is not None:
            return frame[0]
        self._end()
        if late.is_set():
            return {
                "cause": f"Reading it took longer than {self._timeout_s:.0f} seconds.",
                "fix": "Split it, or exclude it.",
            }
        return {
            "cause": "The parser died on it.",
            "fix": "Open it in its own program and save it again, or exclude it.",
        }

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.knowledge.ingest.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env={
                    "PYTHONPATH": str(ROOT),
                    "LANG": "C.UTF-8",
                },  # no keys for what reads strangers' files
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # what was left to write has no reader any more
