"""The intents in force: table and classifier of one version, replaced together while questions are being asked.

A thread looks every few seconds whether a version was published or a question corrected, here or by another process, trains
beside the traffic and then swaps one reference. A question sees the old pair or the new one. A training that fails leaves
the old pair in force, is recorded, and is tried again when the examples change or the process starts anew.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.domain import Person, now
from app.errors import NotFound
from app.records import Ledger
from app.records.events import IntentsChanged
from app.routing.classifier import Embed, IntentClassifier, Vector
from app.routing.corrections import Corrections, Labelled
from app.routing.edits import Edits
from app.routing.table import RoutingTable
from app.routing.versions import IntentVersions, Version

EVERY_S = 5.0
_REMEMBERED = 20_000  # texts; 1.5 kB of vector each

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """`version` counts publications, 0 being the file alone."""

    version: int
    table: RoutingTable
    classifier: IntentClassifier
    trained_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A training that failed: of which version, when and why, in words for an admin."""

    version: int
    why: str
    at: datetime = field(default_factory=now)


class Intents:
    """Trained once in the constructor, so `now` always answers. Thread-safe."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        file: RoutingTable,
        embed: Embed,
        cache: Path | None = None,
    ) -> None:
        self.file = file
        self.versions = IntentVersions(database, ledger)
        self.corrections = Corrections(database, ledger)
        self.trouble: Trouble | None = None
        self._database = database
        self._ledger = ledger
        self._vectors = RememberedVectors(embed)
        self._cache = cache
        self._training = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._learned_from = self._state()
        self._in_force = self._first()

    def now(self) -> InForce:
        return self._in_force

    def table(self) -> RoutingTable:
        """The routing table in force."""
        return self._in_force.table

    def refresh(self) -> bool:
        """Trains and swaps if a version or a correction is new; says whether it did. Waits for a training under way."""
        with self._training:
            state = self._state()
            if state == self._learned_from:
                return False
            self._learned_from = state  # what cannot be learned is not tried over and over
            try:
                self._in_force = self._train()
            except SQLAlchemyError:
                self._learned_from = (-1, None)  # the database may be back at the next look
                raise
            except Exception as error:
                self._failed(state[0], error)
                return False
            self.trouble = None
        log.info("intents trained", version=self._in_force.version)
        return True

    def preview(self, edits: Edits) -> InForce:
        """What `edits` would give, trained now and in force nowhere."""
        return self._made(Version(self.now().version, edits), None)

    def correct_own(self, person: Person, turn_id: str, intent: str) -> None:
        """`person` says what a question of theirs was about. Raises NotFound for a turn or an intent that is not there."""
        self.corrections.correct_own(person, turn_id, self._known(intent), self.now().version)

    def correct(self, actor: Person, turn_id: str, intent: str) -> None:
        """An admin's word on a question that its person shares; the caller has asked Policy.administer. Raises NotFound."""
        self.corrections.correct(actor, turn_id, self._known(intent), self.now().version)

    def vectors(self, texts: Sequence[str]) -> Vector:
        """Vectors of texts that are looked at again and again, embedded once while the process lives."""
        return self._vectors.of(texts)

    def start(self, every_s: float = EVERY_S) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(
                target=self._follow, args=(every_s,), name="intents", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; harmless when it never started."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _follow(self, every_s: float) -> None:
        while not self._stopping.wait(every_s):
            try:
                self.refresh()
            except SQLAlchemyError as error:
                # The intents in force stay, and the next look tries again.
                log.warning("intents not read", cause=type(error).__name__)

    def _known(self, intent: str) -> str:
        if intent not in {entry.name for entry in self.now().table.entries}:
            raise NotFound(f"There is no intent '{intent}'.", fix="Choose one from the list.")
        return intent

    def _state(self) -> tuple[int, object]:
        return self.versions.latest().number, self.corrections.state()

    def _first(self) -> InForce:
        """A start must not fail for what admins or employees wrote: then the file alone is learned."""
        try:
            return self._train()
        except SQLAlchemyError:
            raise
        except Exception as error:
            self._failed(self._learned_from[0], error)
            table = self.file
            return InForce(0, table, IntentClassifier(table, self._vectors.of, self._cache))

    def _train(self) -> InForce:
        return self._made(self.versions.latest(), self._cache)

    def _made(self, version: Version, cache: Path | None) -> InForce:
        edits = version.edits
        table = edits.apply(self.file)
        corrected = [
            Labelled(one.text, edits.target(one.intent)) for one in self.corrections.examples()
        ]
        classifier = IntentClassifier(
            table, self._vectors.of, cache, corrected=corrected, version=version.number
        )
        return InForce(version.number, table, classifier)

    def _failed(self, version: int, error: Exception) -> None:
        self.trouble = Trouble(version, f"{type(error).__name__}: {error}"[:200])
        log.error("intents not learned; the ones before stay", version=version, exc_info=error)
        event = IntentsChanged(
            actor="system",
            change="not_learned",
            version=version,
            reason=type(error).__name__,
            intents={},
        )
        with self._database.write() as session:
            self._ledger.append(session, event)


class RememberedVectors:
    """Embeds what it has not seen. Forgets everything when it holds too much: what is needed is soon back."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._known: dict[str, Vector] = {}
        self._lock = threading.Lock()

    def of(self, texts: Sequence[str]) -> Vector:
        """Shape (len(texts), dimension), in the order given; texts may not be empty as a whole."""
        with self._lock:
            known = dict(self._known)
        unknown = [text for text in dict.fromkeys(texts) if text not in known]
        if unknown:
            new = dict(zip(unknown, self._embed(unknown), strict=True))
            known.update(new)
            with self._lock:
                if len(self._known) + len(new) > _REMEMBERED:
                    self._known.clear()
                self._known.update(new)
        return np.asarray([known[text] for text in texts], dtype=np.float32)
