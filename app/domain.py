"""The frozen values of one question's life, in the order in which a turn makes them.

    Question → Intent → Found → Route → Prompt → (Delta…) → Answer → Offer… → Receipt

Principals are strings: `everyone`, `user:<email>` and `group:<namespace>/<name>`, where the namespace is `idp` for the
identity provider's groups and the connector's id for a source's own. Times are aware, in UTC; durations are seconds unless
the name says ms; money is US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, Literal

EVERYONE = "everyone"
Json = dict[str, Any]


def now() -> datetime:
    return datetime.now(UTC)


class DataClass(IntEnum):
    """How sensitive a text is. Higher is stricter; a model's clearance is the highest class it may be sent."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> DataClass:
        """Raises ValueError for a name that is none of the four."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            raise ValueError(
                f"'{text}' is no data class; use public, internal, confidential or restricted"
            ) from None


class Role(StrEnum):
    EMPLOYEE = "employee"
    TEAM_LEAD = "team_lead"
    ADMIN = "admin"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is asking, as the session or key proved it. `principals` is the expanded set, `everyone` included."""

    id: str
    email: str
    name: str
    role: Role
    team: str
    principals: frozenset[str]
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier question and answer of the conversation. `data_class` is the class of what that answer was made from."""

    question: str
    answer: str
    data_class: DataClass = DataClass.INTERNAL


@dataclass(frozen=True, slots=True)
class Question:
    turn_id: str
    conversation_id: str
    person: Person
    text: str
    history: tuple[Exchange, ...] = ()
    model_wish: str | None = None
    channel: Literal["page", "api"] = "page"


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What came of asking a model which of two close intents a question is for. `said` is the intent that it named; empty when
    it named none, or was not asked (`model` is empty then): `why` tells, and the classifier's choice stood."""

    model: str
    label: str
    said: str
    why: str = ""
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Intent:
    """What a question is for. Scores are probabilities in [0, 1], the classifier's; `chosen_by` says how the name came about,
    `opinion` what a model said where two intents were close.

    `version` counts what admins have published, 0 being the file alone; `corrections` is how many corrected questions the
    classifier had learned besides. (Receipts made before intents were learned hold cosine similarities of examples.)
    """

    name: str
    label: str
    score: float
    runner_up: str
    runner_up_score: float
    chosen_by: Literal["examples", "below threshold", "model"] = "examples"
    version: int = 0
    corrections: int = 0
    opinion: SecondOpinion | None = None


@dataclass(frozen=True, slots=True)
class AccessBasis:
    """On which permission a passage rests: the matching principal and when the source last confirmed it."""

    principal: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Passage:
    chunk_id: str
    document_id: str
    connector_id: str
    title: str
    heading: str
    text: str
    url: str
    space: str
    data_class: DataClass
    score: float
    basis: AccessBasis
    synced_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """`withheld` counts near hits that SQL refused (stale index copy, expired permission); only admins are shown it.
    `first_sync`: some source was still being read for the first time, so what was sought may be missing."""

    passages: tuple[Passage, ...] = ()
    withheld: int = 0
    sources: int = 0
    searched: bool = True
    first_sync: bool = False


@dataclass(frozen=True, slots=True)
class ModelDecision:
    """Why a model was chosen, kept as a fallback or left out; `failing` when only its health spoke against it."""

    model: str
    label: str
    allowed: bool
    reason: str
    failing: bool = False


@dataclass(frozen=True, slots=True)
class Resilience:
    """What a route does when a model is slow or fails; None means as the settings say. `hedge` is the share of a model's usual
    first-token time (its 95th percentile) after which the next is asked too, 0 for never; `continuation` lets the next model
    finish an answer that broke off."""

    first_token_s: float | None = None
    silence_s: float | None = None
    hedge: float | None = None
    continuation: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """`version` is the intent's version of its route, 0 the routing table's file. While one is tried as a canary, `canary` is
    that version's id and `arm` says which side this question was on."""

    intent: str
    model: str
    fallbacks: tuple[str, ...]
    prompt: str
    reason: str
    decisions: tuple[ModelDecision, ...]
    data_class: DataClass
    search: bool
    actions: tuple[str, ...] = ()
    temperature: float = 0.2
    max_tokens: int = 800
    version: int = 0
    canary: str = ""
    arm: Literal["", "canary", "baseline"] = ""
    resilience: Resilience = Resilience()


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    messages: tuple[ChatMessage, ...]
    name: str
    version: str
    sha: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call; `estimated` when the provider did not report them. Of the prompt's, `cached_tokens` were read
    from the provider's cache and `cache_write_tokens` written to it: they have prices of their own."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Citation:
    number: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    citations: tuple[Citation, ...]
    grounded: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A next step. `arguments` are typed by the action; `origins` says where each came from, for the form."""

    id: str
    action: str
    label: str
    arguments: Mapping[str, Any]
    origins: Mapping[str, str]
    next_step: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's share of a turn, in milliseconds."""

    name: str
    ms: float


@dataclass(frozen=True, slots=True)
class Protection:
    """What was done so that nothing went to a model above its clearance or its context: kinds, classes and counts, no values.

    `found` and `masked` count by kind what the question and the conversation hold and what the answering model saw as a
    placeholder; `dropped` counts passages by data class, `forgotten` earlier exchanges, `trimmed` what did not fit."""

    question_class: DataClass
    found: Mapping[str, int]
    masked: Mapping[str, int]
    dropped: Mapping[str, int]
    forgotten: int = 0
    trimmed: int = 0
    reason: str = ""

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.found or self.dropped or self.forgotten or self.trimmed)


@dataclass(frozen=True, slots=True)
class Part:
    """What one model wrote of an answer, in characters as they streamed."""

    model: str
    label: str
    characters: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What happened, for the reader of the answer and for the auditor. `id` is the turn's."""

    id: str
    intent: Intent | None
    route: Route | None
    model: str
    attempts: tuple[ModelDecision, ...]
    prompt_name: str
    prompt_version: str
    prompt_sha: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    withheld: int
    data_class: DataClass
    usage: Usage
    cost_usd: float
    stages: tuple[Stage, ...]
    first_token_ms: float | None = None
    total_ms: float = 0.0
    protection: Protection | None = None
    parts: tuple[Part, ...] = ()
    first_sync: bool = False


# What a turn yields. The page, the API and the tests all read this stream.


@dataclass(frozen=True, slots=True)
class Routed:
    intent: Intent
    route: Route
    model_label: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What the turn is doing now, in words for the person."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class Offered:
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    answer: Answer
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Stopped:
    """The person stopped it; `text` is what had arrived."""

    text: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Failed:
    """`kind` is the error's class in app.errors, empty when it was none of ours."""

    message: str
    fix: str
    text: str
    receipt: Receipt
    kind: str = ""


TurnEvent = Progress | Routed | Found | TextDelta | Offered | Finished | Stopped | Failed


# What a model adapter takes and yields.


@dataclass(frozen=True, slots=True)
class Masked:
    """The words of a call with placeholders for values that not every model may see. `marks` is value to placeholder."""

    prompt: Prompt
    question: str
    data_class: DataClass
    marks: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Continuation:
    """An answer that broke off: its `text` so far, and the `instruction` to go on for models that cannot simply be made to
    speak on from their own last message."""

    text: str
    instruction: str


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to a model. `question` and `passages` are for adapters that read them directly (the extractive reader).
    `data_class` is that of the words; a model that is not cleared for it gets `masked`, or nothing (app.routing.gate).
    `queue_s` is how long it may wait for a free connection."""

    prompt: Prompt
    question: str
    passages: Sequence[Passage] = ()
    max_tokens: int = 800
    temperature: float = 0.2
    data_class: DataClass = DataClass.RESTRICTED
    masked: Masked | None = None
    continuing: Continuation | None = None
    queue_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ModelDone:
    """The last value of a model stream."""

    usage: Usage
    finish_reason: Literal["stop", "length"] = "stop"


ModelChunk = TextDelta | ModelDone


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of app.access: every allow and deny says why. `policy` is the @id of the deciding rule, or empty."""

    allowed: bool
    reason: str
    policy: str = ""
    obligations: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.allowed
