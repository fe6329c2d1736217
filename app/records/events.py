"""What gets logged: the closed union of every event. Nothing else can be appended.

Events carry ids, names, numbers and reasons; never a secret, the text of a document, or the text of a question.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class EventBody(BaseModel):
    """`actor` is a person id or `system`; `subject` is what it happened to (a turn, session, connector…)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor: str = "system"
    subject: str = ""


class SignedIn(EventBody):
    type: Literal["signed_in"] = "signed_in"
    issuer: str
    email: str
    role: str
    groups: int


class SignInFailed(EventBody):
    type: Literal["sign_in_failed"] = "sign_in_failed"
    reason: str
    issuer: str = ""


class SignedOut(EventBody):
    type: Literal["signed_out"] = "signed_out"


class SessionRevoked(EventBody):
    type: Literal["session_revoked"] = "session_revoked"
    person: str


class PersonChanged(EventBody):
    type: Literal["person_changed"] = "person_changed"
    person: str
    change: dict[str, str]


class QuestionAsked(EventBody):
    type: Literal["question_asked"] = "question_asked"
    conversation: str
    channel: str
    characters: int
    sha256: str


class RouteChosen(EventBody):
    type: Literal["route_chosen"] = "route_chosen"
    intent: str
    score: float
    runner_up: str
    runner_up_score: float
    intents_version: int = 0
    intent_corrections: int = 0
    intent_asked: str = Field("", description="The model that was asked which of two it is.")
    intent_said: str = Field("", description="The intent it named, or why there is none.")
    model: str
    reason: str
    left_out: dict[str, str]
    data_class: str
    version: int = 0
    arm: str = ""


class WordsScreened(EventBody):
    """Personal data or secrets in somebody's words, or something that was left out: kinds, classes and counts, no values."""

    type: Literal["words_screened"] = "words_screened"
    question_class: str
    found: dict[str, int]
    masked: dict[str, int]
    dropped: dict[str, int]
    forgotten: int
    trimmed: int
    reason: str


class SearchDone(EventBody):
    """Which documents, and on what permission: document id to principal."""

    type: Literal["search_done"] = "search_done"
    documents: dict[str, str]
    withheld: int


class ModelCalled(EventBody):
    type: Literal["model_called"] = "model_called"
    model: str
    prompt: str
    prompt_version: str
    prompt_sha: str
    data_class: str
    outcome: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_usd: float = 0.0


class Answered(EventBody):
    type: Literal["answered"] = "answered"
    status: Literal["finished", "stopped", "failed", "interrupted"]
    model: str
    citations: dict[str, str] = Field(description="Number to document id.")
    characters: int
    total_ms: float


class FeedbackGiven(EventBody):
    type: Literal["feedback_given"] = "feedback_given"
    value: int | None
    commented: bool


class ConversationChanged(EventBody):
    type: Literal["conversation_changed"] = "conversation_changed"
    change: Literal["renamed", "deleted", "restored"]


class ActionRequested(EventBody):
    type: Literal["action_requested"] = "action_requested"
    action: str
    payload_sha: str
    needs_approval: bool
    reason: str


class ActionDecided(EventBody):
    type: Literal["action_decided"] = "action_decided"
    action: str
    decision: Literal["approved", "rejected"]
    payload_sha: str
    requester: str


class ActionRun(EventBody):
    type: Literal["action_run"] = "action_run"
    action: str
    outcome: Literal["done", "failed"]
    detail: str


class ConnectorChanged(EventBody):
    type: Literal["connector_changed"] = "connector_changed"
    change: Literal["added", "changed", "paused", "resumed", "deleted", "removals_allowed"]
    name: str
    fields: list[str] = Field(default_factory=list)


class CredentialChanged(EventBody):
    """Names of fields only, never values."""

    type: Literal["credential_changed"] = "credential_changed"
    change: Literal["added", "swapped", "deleted"]
    name: str
    fields: list[str] = Field(default_factory=list)


class PermissionsStale(EventBody):
    """An alert: a connector's permissions grew older than promised, and its documents are withheld; or are fresh again."""

    type: Literal["permissions_stale"] = "permissions_stale"
    stale: bool
    name: str
    age_s: int
    promised_s: int
    documents: int


class SyncDone(EventBody):
    type: Literal["sync_done"] = "sync_done"
    scope: str = "content"
    run: str
    status: str
    counts: dict[str, int]
    error: str = ""


class PreviewedAs(EventBody):
    type: Literal["previewed_as"] = "previewed_as"
    person: str
    documents: int


class ModelChanged(EventBody):
    type: Literal["model_changed"] = "model_changed"
    change: dict[str, Any]


class ModelAdded(EventBody):
    """An admin added a model, or took one away that an admin had added; `subject` is its id."""

    type: Literal["model_added"] = "model_added"
    change: Literal["added", "removed"]
    provider: str
    base_url: str = ""
    inside: bool = False
    free: bool = False


class ProviderKeyChanged(EventBody):
    """`subject` is the key's id; the key itself is nowhere but sealed in its row."""

    type: Literal["provider_key_changed"] = "provider_key_changed"
    change: Literal["added", "removed"]
    account: str


class RouteChanged(EventBody):
    """A step in the life of a version of an intent's route; `subject` is the version's id."""

    type: Literal["route_changed"] = "route_changed"
    change: Literal[
        "drafted", "discarded", "canary_started", "canary_stopped", "published", "rolled_back"
    ]
    intent: str
    version: int
    reason: str = ""
    values: dict[str, Any] = Field(default_factory=dict)


class GoldenSetChanged(EventBody):
    """The golden set of an intent; `subject` is the question's id, or empty for several."""

    type: Literal["golden_set_changed"] = "golden_set_changed"
    change: Literal["added", "changed", "removed", "imported", "exported"]
    intent: str
    questions: int
    origin: str = ""


RehearsalChange = Literal[
    "started", "resumed", "finished", "stopped", "cancelled", "interrupted", "failed", "removed"
]


class RehearsalChanged(EventBody):
    """A rehearsal of a draft began or ended; `subject` is the rehearsal. Its calls are `model_called` on its results. One that
    was resumed has the answers and the cost of the one that it `continues`."""

    type: Literal["rehearsal_changed"] = "rehearsal_changed"
    change: RehearsalChange
    intent: str
    version: int
    questions: int
    verdicts: dict[str, int] = Field(default_factory=dict)
    judge: str = ""
    cost_usd: float = 0.0
    continues: str = ""


class DifficultyLearned(EventBody):
    """How well each model answers an intent's questions was learned anew; `outcomes` counts by model what from."""

    type: Literal["difficulty_learned"] = "difficulty_learned"
    intent: str
    version: int
    outcomes: dict[str, int]


class KeyCreated(EventBody):
    type: Literal["key_created"] = "key_created"
    person: str
    name: str
    expires: str


class KeyRevoked(EventBody):
    type: Literal["key_revoked"] = "key_revoked"
    person: str


class UsageRead(EventBody):
    """Somebody looked at (or exported) a team's numbers."""

    type: Literal["usage_read"] = "usage_read"
    team: str
    period: str
    exported: bool = False


class ReceiptRead(EventBody):
    """Somebody other than the person who asked read the receipt of an answer; `subject` is the turn."""

    type: Literal["receipt_read"] = "receipt_read"
    person: str


class BudgetChanged(EventBody):
    """`subject` is the budget. `granted` is more money for one period only, on an approved request. Dollars."""

    type: Literal["budget_changed"] = "budget_changed"
    change: Literal["set", "removed", "granted"]
    scope: str
    scope_id: str
    period: str
    limit_usd: float
    amount_usd: float = 0.0


class BudgetNotice(EventBody):
    """Once for each budget, key and period: the share at which people are told has been spent. `key` is whose sum it is."""

    type: Literal["budget_notice"] = "budget_notice"
    scope: str
    key: str
    period: str
    starts: str
    spent_usd: float
    limit_usd: float


class BudgetNoticeShown(EventBody):
    """The actor has been told of it in a chat: once for each budget and period, and again when more was granted."""

    type: Literal["budget_notice_shown"] = "budget_notice_shown"
    scope: str
    key: str
    period: str
    starts: str
    limit_usd: float


class BudgetBlocked(EventBody):
    """A budget had no room for a model's answer; `subject` is the turn."""

    type: Literal["budget_blocked"] = "budget_blocked"
    budget: str
    scope: str
    key: str
    period: str
    models: list[str]
    outcome: Literal["another model", "stopped"]


class IntentsChanged(EventBody):
    """`subject` is the turn of a correction. `version` is the one published, the one that could not be learned, or the one in
    force when it was said. No example's text is here."""

    type: Literal["intents_changed"] = "intents_changed"
    change: Literal["drafted", "discarded", "published", "corrected", "not_learned"]
    version: int
    reason: str = ""
    intents: dict[str, str] = Field(
        description="Intent to what was done to it; `tie-break` to how close ones are told apart."
    )


class AccessDenied(EventBody):
    type: Literal["access_denied"] = "access_denied"
    action: str
    reason: str
    policy: str = ""


Event = Annotated[
    SignedIn
    | SignInFailed
    | SignedOut
    | SessionRevoked
    | PersonChanged
    | QuestionAsked
    | RouteChosen
    | WordsScreened
    | SearchDone
    | ModelCalled
    | Answered
    | FeedbackGiven
    | ConversationChanged
    | ActionRequested
    | ActionDecided
    | ActionRun
    | ConnectorChanged
    | CredentialChanged
    | PermissionsStale
    | SyncDone
    | PreviewedAs
    | ModelAdded
    | ModelChanged
    | ProviderKeyChanged
    | RouteChanged
    | GoldenSetChanged
    | RehearsalChanged
    | DifficultyLearned
    | KeyCreated
    | KeyRevoked
    | UsageRead
    | ReceiptRead
    | BudgetChanged
    | BudgetNotice
    | BudgetNoticeShown
    | BudgetBlocked
    | IntentsChanged
    | AccessDenied,
    Field(discriminator="type"),
]

event_types: tuple[type[EventBody], ...] = get_args(get_args(Event)[0])
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)
