"""A company's worth of chunks for `tests.bench.scale`: vectors, words, readers, people and questions, all from one seed.

Hard in the ways real data is, and calibrated on MiniLM's vectors of SciFact (cosine of two random abstracts .13 in the
median, of nearest neighbours .61; half of the variance in 30 directions):

- Vectors lie in clusters within clusters: department, topic, document, chunk, with variances falling as 1/(1 + i/3).
- Readers are correlated with clusters for half of the folders (a team's folder: readers from its own department) and not
  correlated for the others (`everyone` 15 %, ad-hoc shares with anybody 35 %). Four in five documents inherit their
  folder's readers, one in five has its own. The number of readers is log-uniform from 1 to the limit.
- People hold all groups of a home department, some of three others, and some of anywhere; every fourth is a guest, who
  lacks `everyone` and holds mostly groups that read nothing here.
- Questions are near a chunk (cosine about .65) and share words with it; every other one is about a chunk of a document that
  this person may not read, so that the nearest points are forbidden and what is permitted lies far away.
- Words follow a Zipf law (stop words left out) with a share of each topic's own words.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

DIMENSION = 384
DEPARTMENTS, TOPICS = 50, 1000
GROUPS, USERS = 40, 100  # of each department
VOCABULARY, TOPIC_WORDS, TOPIC_SHARE = 100_000, 400, 0.3
WORDS_OF_CHUNK = 90
CHUNKS_OF_DOCUMENT = 10
TEAM, ADHOC = 0.5, 0.35  # the rest is for everyone
OWN_READERS = 0.2
VARIANCES = {"mean": 0.135, "department": 0.15, "topic": 0.25, "document": 0.25, "chunk": 0.215}
QUESTION_NOISE = 1.1  # of the norm of the chunk it is about
EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Question:
    """`person` indexes `World.people`; `about` is the chunk it was made from."""

    person: int
    about: int
    vector: Floats
    text: str


@dataclass(frozen=True, slots=True)
class World:
    """`document_of[chunk]`; `readers[document]`; `people` are sets of principals. Vectors have unit length."""

    vectors: Floats
    document_of: Ints
    readers: Sequence[frozenset[str]]
    people: Sequence[frozenset[str]]
    texts: Texts

    def permitted(self, person: int) -> NDArray[np.bool_]:
        """Which chunks the person may read, from the reader sets themselves."""
        mine = self.people[person]
        documents = np.fromiter((not mine.isdisjoint(r) for r in self.readers), np.bool_)
        mask: NDArray[np.bool_] = documents[self.document_of]
        return mask


def chunk_id(number: int) -> str:
    return str(uuid.UUID(int=number + 1))


class Texts:
    """Texts by chunk: given ones, or made in blocks of `BLOCK` from seed, block and topic, never all in memory."""

    BLOCK = 1000

    def __init__(self, seed: int, topic_of: Ints, given: Sequence[str] | None = None) -> None:
        self._seed, self._topic_of, self._given = seed, topic_of, given
        rng = np.random.default_rng([seed, 1])
        # Zipf-Mandelbrot: ranks start behind the stop words, which BM25 drops.
        self._common = np.cumsum(1.0 / (np.arange(VOCABULARY) + 30.0) ** 1.05)
        self._own = np.cumsum(1.0 / (np.arange(TOPIC_WORDS) + 5.0))
        topics = int(topic_of.max()) + 1
        self._topic_words = rng.integers(200, VOCABULARY, (topics, TOPIC_WORDS))
        self._cache: tuple[int, list[str]] = (-1, [])

    def __getitem__(self, chunk: int) -> str:
        block = chunk // self.BLOCK
        if self._cache[0] != block:
            self._cache = (block, self.block(block))
        return self._cache[1][chunk % self.BLOCK]

    def block(self, block: int) -> list[str]:
        start = block * self.BLOCK
        topics = self._topic_of[start : start + self.BLOCK]
        if self._given is not None:
            return list(self._given[start : start + self.BLOCK])
        rng = np.random.default_rng([self._seed, 2, block])
        lengths = np.clip(rng.lognormal(np.log(WORDS_OF_CHUNK), 0.4, len(topics)), 8, 300)
        lengths = lengths.astype(np.int64)
        total = int(lengths.sum())
        words = np.searchsorted(self._common, rng.random(total) * self._common[-1])
        own = np.searchsorted(self._own, rng.random(total) * self._own[-1])
        of_topic = self._topic_words[np.repeat(topics, lengths), own]
        words = np.where(rng.random(total) < TOPIC_SHARE, of_topic, words)
        parts = np.split(words, np.cumsum(lengths)[:-1])
        return [" ".join([_word(number) for number in part.tolist()]) for part in parts]


_SYLLABLES = [a + b for a in "bdfgklmnprtvz" for b in ("a", "i", "o", "u", "ax", "en", "or")]


def _word(number: int) -> str:
    """A pronounceable word for each number; the last syllable keeps the stemmer from merging two of them."""
    base = len(_SYLLABLES)
    return (
        _SYLLABLES[number % base]
        + _SYLLABLES[number // base % base]
        + _SYLLABLES[number // base**2 % base]
        + "k"
    )


def generate(chunks: int, seed: int, readers: int, principals: int, people: int) -> World:
    rng = np.random.default_rng([seed, 0])
    document_of = _documents(rng, chunks)
    documents = int(document_of[-1]) + 1
    topic_of_document = _skewed(rng, TOPICS, documents)
    topic_of = topic_of_document[document_of]
    reader_sets = _readers(rng, topic_of_document % DEPARTMENTS, readers)
    vectors = _vectors(rng, topic_of, document_of)
    persons = [_person(rng, principals, guest=i % 4 == 3) for i in range(people)]
    return World(vectors, document_of, reader_sets, persons, Texts(seed, topic_of))


def load(
    vectors: Path, readers_file: Path | None, seed: int, readers: int, principals: int, people: int
) -> World:
    """Given vectors (`.npy`, one row a chunk) and, if given, documents as JSON lines in the order of the vectors:
    {"chunks": how many, "readers": [...], "texts": [...]}; readers or texts that are missing are made."""
    rows = np.load(vectors).astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    world = generate(min(len(rows), 1000), seed, readers, principals, people)
    rng = np.random.default_rng([seed, 3])
    if readers_file is None:
        document_of = _documents(rng, len(rows))
        topic_of_document = _skewed(rng, TOPICS, int(document_of[-1]) + 1)
        sets = _readers(rng, topic_of_document % DEPARTMENTS, readers)
        texts = Texts(seed, topic_of_document[document_of])
        return World(rows, document_of, sets, world.people, texts)
    lines = [json.loads(line) for line in readers_file.read_text().splitlines() if line]
    document_of = np.repeat(np.arange(len(lines)), [line["chunks"] for line in lines])
    if len(document_of) != len(rows):
        raise SystemExit(f"{readers_file} has {len(document_of)} chunks, {vectors} {len(rows)}.")
    given = [text for line in lines for text in line.get("texts", ())]
    given_sets = [frozenset(line["readers"]) for line in lines]
    known = sorted(frozenset().union(*given_sets) - {EVERYONE})
    persons = [_of(rng, known, principals) for _ in range(people)]
    texts = Texts(seed, np.zeros(len(rows), np.int64), given if len(given) == len(rows) else None)
    return World(rows, document_of, given_sets, persons, texts)


def questions(world: World, count: int, seed: int) -> Iterator[Question]:
    """Questions in turn for every person, every other one about what that person may not read."""
    rng = np.random.default_rng([seed, 4])
    spread = np.sqrt(np.abs(world.vectors[:: max(1, len(world.vectors) // 2000)]).mean(axis=0))
    for person in range(len(world.people)):
        mask = world.permitted(person)
        permitted, forbidden = np.flatnonzero(mask), np.flatnonzero(~mask)
        for turn in range(person, count, len(world.people)):
            wanted = permitted if (turn // len(world.people)) % 2 == 0 else forbidden
            about = int(rng.choice(wanted if len(wanted) else np.arange(len(mask))))
            noise = rng.normal(size=world.vectors.shape[1]) * spread
            vector = world.vectors[about] + noise * (QUESTION_NOISE / np.linalg.norm(noise))
            words = sorted(set(world.texts[about].split()))
            asked = rng.choice(words, min(len(words), int(rng.integers(3, 9))), replace=False)
            unit = (vector / np.linalg.norm(vector)).astype(np.float32)
            yield Question(person, about, unit, " ".join(asked))


def _documents(rng: np.random.Generator, chunks: int) -> Ints:
    sizes = np.clip(rng.lognormal(1.9, 0.9, chunks), 1, 200).astype(np.int64)
    numbers: Ints = np.repeat(np.arange(chunks), sizes)[:chunks]
    return numbers


def _skewed(rng: np.random.Generator, kinds: int, count: int) -> Ints:
    weights = rng.permutation(1.0 / (np.arange(kinds) + 10.0))
    drawn: Ints = rng.choice(kinds, count, p=weights / weights.sum())
    return drawn


def _vectors(rng: np.random.Generator, topic_of: Ints, document_of: Ints) -> Floats:
    variances = 1.0 / (1.0 + np.arange(DIMENSION) / 3.0)
    spread = np.sqrt(variances / variances.sum()).astype(np.float32)

    def draw(level: str, count: int) -> Floats:
        normal = rng.standard_normal((count, DIMENSION), dtype=np.float32)
        return normal * (spread * np.float32(np.sqrt(VARIANCES[level])))

    mean, departments, topics = (
        draw("mean", 1),
        draw("department", DEPARTMENTS),
        draw("topic", TOPICS),
    )
    centres = mean + departments[np.arange(TOPICS) % DEPARTMENTS] + topics
    documents = draw("document", int(document_of[-1]) + 1)
    vectors = np.empty((len(topic_of), DIMENSION), np.float32)
    for start in range(0, len(vectors), 50_000):
        part = slice(start, start + 50_000)
        rows = centres[topic_of[part]] + documents[document_of[part]]
        rows += draw("chunk", len(rows))
        vectors[part] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return vectors


def _principals(department: int) -> list[str]:
    groups = [f"group:idp/d{department}-g{i}" for i in range(GROUPS)]
    return groups + [f"user:d{department}-u{i}@example.test" for i in range(USERS)]


def _readers(rng: np.random.Generator, department_of: Ints, limit: int) -> list[frozenset[str]]:
    """By document; about five documents share a folder."""
    everybody = [p for d in range(DEPARTMENTS) for p in _principals(d)]

    def draw(department: int) -> frozenset[str]:
        kind, count = rng.random(), int(np.exp(rng.uniform(0, np.log(limit + 1))))
        if kind >= TEAM + ADHOC:
            return frozenset({EVERYONE})
        pool = _principals(department) if kind < TEAM else everybody
        chosen = rng.choice(len(pool), min(count, len(pool)), replace=False)
        return frozenset(pool[i] for i in chosen)

    folders: dict[int, list[frozenset[str]]] = {}
    for department in range(DEPARTMENTS):
        owned = max(1, int((department_of == department).sum()) // 5)
        folders[department] = [draw(department) for _ in range(owned)]
    sets = []
    for department in department_of.tolist():
        shared = folders[department]
        own = rng.random() < OWN_READERS
        sets.append(draw(department) if own else shared[int(rng.integers(len(shared)))])
    return sets


def _person(rng: np.random.Generator, count: int, *, guest: bool) -> frozenset[str]:
    home, *others = rng.choice(DEPARTMENTS, 4, replace=False).tolist()
    mine = [f"user:d{home}-u{rng.integers(USERS)}@example.test"]
    if guest:
        mine += [f"group:idp/d{home}-g{i}" for i in rng.choice(GROUPS, 5, replace=False)]
        return frozenset([*mine, *(f"group:elsewhere/g{i}" for i in range(count))][:count])
    mine += [EVERYONE, *(f"group:idp/d{home}-g{i}" for i in range(GROUPS))]
    near = [f"group:idp/d{d}-g{i}" for d in others for i in range(GROUPS)]
    anywhere = [f"group:idp/d{d}-g{i}" for d in range(DEPARTMENTS) for i in range(GROUPS)]
    missing = max(0, count - len(mine))
    mine += [near[i] for i in rng.permutation(len(near))[: missing // 2]]
    rest = (anywhere[i] for i in rng.permutation(len(anywhere)))
    chosen = dict.fromkeys([*mine, *rest])
    return frozenset(list(chosen)[:count])


def _of(rng: np.random.Generator, known: Sequence[str], count: int) -> frozenset[str]:
    chosen = rng.permutation(len(known))[: count - 1]
    return frozenset([EVERYONE, *(known[i] for i in chosen)])
