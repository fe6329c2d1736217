"""The parser process: `python -m app.knowledge.ingest.worker`. Frames in on stdin, frames out on stdout, until stdin ends.

A frame is two lengths (4 bytes each, big endian), a JSON header and the raw bytes. It holds no key and opens no network;
memory is limited, and an alarm ends it should its parent have died in the middle of a document.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from typing import IO

from app.domain import Json
from app.errors import DocumentError
from app.knowledge.ingest.parse import parse

LENGTHS = struct.Struct(">II")
MEMORY_BYTES = 2_000_000_000
ORPHAN_S = 300


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the server, which ends this one by closing stdin
    source = sys.stdin.buffer
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not break a frame
    while (frame := read_frame(source)) is not None:
        signal.alarm(ORPHAN_S)
        write_frame(target, _answer(frame[0], frame[1]), b"")
        signal.alarm(0)


def _answer(header: Json, content: bytes) -> Json:
    try:
        parsed = parse(content, str(header["mime"]))
    except DocumentError as error:
        return {"cause": error.message, "fix": error.fix, "detail": error.detail}
    except MemoryError:
        return {"cause": "It needs too much memory to read.", "fix": "Split it, or exclude it."}
    except (Exception, RecursionError) as error:
        # Libraries for damaged files fail in ways of no common class; the document fails alone, named by its owner.
        return {
            "cause": "It is damaged, or of a kind that the parser does not understand.",
            "fix": "Open it in its own program and save it again.",
            "detail": f"{type(error).__name__}: {error}"[:500],
        }
    return {
        "title": parsed.title,
        "sections": [[list(section.path), section.text] for section in parsed.sections],
    }


def read_frame(stream: IO[bytes]) -> tuple[Json, bytes] | None:
    """None at the end of the stream."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    header_length, content_length = LENGTHS.unpack(lengths)
    header = stream.read(header_length)
    content = stream.read(content_length)
    if len(header) < header_length or len(content) < content_length:
        return None
    return json.loads(header), content


def write_frame(stream: IO[bytes], header: Json, content: bytes) -> None:
    encoded = json.dumps(header).encode()
    stream.write(LENGTHS.pack(len(encoded), len(content)))
    stream.write(encoded)
    stream.write(content)
    stream.flush()


if __name__ == "__main__":
    main()
