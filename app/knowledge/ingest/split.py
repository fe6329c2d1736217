"""Sections to chunks of about 200 tokens, each under its headings. No word is lost, none is in two chunks."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from app.knowledge.ingest.parsed import SEPARATOR, Parsed, Section

if TYPE_CHECKING:
    from llama_index.core.node_parser import SentenceSplitter

# The embedder reads 256 tokens: title and headings take some 30 of them.
CHUNK_TOKENS = 200
SMALL_TOKENS = 60
NAMESPACE = uuid.UUID("8b1f6f0e-6f0c-4d55-9c9e-3f6f0b1a7c11")
_TOKEN = re.compile(r"\w{1,8}|[^\w\s]")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+[\"')\]]*\s+|\n+|\Z|[.!?]+)")


@dataclass(frozen=True, slots=True)
class Chunk:
    """`id` follows from document, heading and text, so what did not change keeps its id and its vector."""

    id: str
    ordinal: int
    heading: str
    text: str


def split(document_id: str, title: str, parsed: Parsed) -> list[Chunk]:
    """Small neighbouring sections share a chunk, long ones are cut between paragraphs, then sentences."""
    pieces: list[tuple[str, str]] = []
    for group in _grouped([_below(title, section) for section in parsed.sections]):
        heading, text = _join(group)
        parts = [text] if tokens(text) <= CHUNK_TOKENS else _cut(text)
        pieces.extend((heading, part) for part in parts if part.strip() or heading)
    seen: Counter[tuple[str, str]] = Counter()
    chunks: list[Chunk] = []
    for ordinal, piece in enumerate(pieces):
        seen[piece] += 1
        chunks.append(Chunk(_id(document_id, title, piece, seen[piece]), ordinal, *piece))
    return chunks


def tokens(text: str) -> int:
    """About what a word-piece tokenizer makes of it; long words count for several."""
    return len(_TOKEN.findall(text))


def embedding_text(title: str, chunk_heading: str, text: str) -> str:
    """What the embedder reads: the chunk with its place in the document."""
    return "\n".join(part for part in (title, chunk_heading, text) if part)


def bm25_text(title: str, chunk_heading: str, text: str) -> str:
    """What BM25 counts: the title twice, which on SciFact's training queries is worth .005 nDCG@10."""
    return "\n".join((title, title, chunk_heading, text))


def _below(title: str, section: Section) -> Section:
    """The title is shown and embedded with every chunk anyway: a heading that repeats it goes."""
    if section.path and section.path[0].casefold() == title.casefold():
        return Section(section.path[1:], section.text)
    return section


def _grouped(sections: Sequence[Section]) -> list[list[Section]]:
    """Runs of small sections with a common parent. A heading without text goes with what follows it."""
    groups: list[list[Section]] = []
    size = 0
    for section in sections:
        here = tokens(section.text) + sum(tokens(part) for part in section.path[-1:])
        if (
            groups
            and (size < SMALL_TOKENS or here < SMALL_TOKENS)
            and size + here <= CHUNK_TOKENS
            and _related(groups[-1], section)
        ):
            groups[-1].append(section)
            size += here
        else:
            groups.append([section])
            size = here
    return groups


def _related(group: Sequence[Section], section: Section) -> bool:
    first = group[0].path
    return first[:-1] == section.path[: len(first) - 1] if first else True


def _join(group: Sequence[Section]) -> tuple[str, str]:
    """The headings that all share go above; the others stay in the text, where they were."""
    if len(group) == 1:
        return SEPARATOR.join(group[0].path), group[0].text
    shared = 0
    paths = [section.path for section in group]
    while all(len(path) > shared and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    lines: list[str] = []
    before = paths[0][:shared]
    for section in group:
        kept = shared
        while kept < min(len(before), len(section.path)) and before[kept] == section.path[kept]:
            kept += 1
        lines.extend(section.path[min(kept, max(len(section.path) - 1, shared)) :])
        before = section.path
        if section.text:
            lines.append(section.text)
    return SEPARATOR.join(paths[0][:shared]), "\n\n".join(lines)


def _cut(text: str) -> list[str]:
    return [part for part in _splitter().split_text(text) if part.strip()]


@lru_cache(maxsize=1)
def _splitter() -> SentenceSplitter:
    """Imported here: LlamaIndex takes seconds, and only a sync of long sections needs it."""
    from llama_index.core.node_parser import SentenceSplitter

    return SentenceSplitter(
        chunk_size=CHUNK_TOKENS,
        chunk_overlap=0,
        tokenizer=_tokenize,
        paragraph_separator="\n\n",
        chunking_tokenizer_fn=_sentences,
    )


def _tokenize(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _sentences(text: str) -> list[str]:
    return [match.group() for match in _SENTENCE.finditer(text) if match.group()]


def _id(document_id: str, title: str, piece: tuple[str, str], nth: int) -> str:
    digest = hashlib.sha256("\x00".join((title, *piece, str(nth))).encode()).hexdigest()
    return str(uuid.uuid5(NAMESPACE, f"{document_id}:{digest}"))
