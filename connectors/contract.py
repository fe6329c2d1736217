"""What a connector is. Imports nothing of `app`: an author needs this file, and `connectors.http` for a web API.

A connector is a class found by the entry point group `switchboard.connectors`: its name there is the kind. The platform
makes an instance for each configured source and each piece of work, and calls it from one worker thread; every method may
block. Only `validate` and `changes` must be written; each other method a connector writes is a capability it has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors.faults import SourceFault as SourceFault
from connectors.http import Http

CONTRACT_VERSION = 2
DataClassName = Literal["public", "internal", "confidential", "restricted"]


# --- What a source holds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a document. Unknown means nobody.

    `users` are e-mail addresses, `groups` are names in the source's own directory, or the company's when
    `company_groups` is true (a folder has no directory of its own). `everyone` is everybody who can sign in to Switchboard,
    which is seldom what a source means by it: name a group of the source's accounts instead. `also` narrows: a reader must
    be admitted here and by every one of them (a page's space and its restrictions); `a & b` writes it.
    """

    known: bool = False
    everyone: bool = False
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    company_groups: bool = False
    also: tuple[Access, ...] = ()

    @classmethod
    def nobody(cls) -> Access:
        """Readers that the source does not tell: nobody may read."""
        return cls(known=False)

    @classmethod
    def of(cls, users: Iterable[str] = (), groups: Iterable[str] = ()) -> Access:
        """Readers that are known; with neither users nor groups, known to be none."""
        return cls(known=True, users=frozenset(users), groups=frozenset(groups))

    def __and__(self, other: Access) -> Access:
        """Those whom both admit. Unknown stays unknown."""
        if not (self.known and other.known):
            return Access.nobody()
        if self._anyone or self == other:
            return other
        if other._anyone:
            return self
        if self._only_users and other._only_users:
            return Access(known=True, users=self.users & other.users)
        parts = (replace(self, also=()), *self.also, replace(other, also=()), *other.also)
        kept = sorted(set(parts), key=repr)  # one order, so that equal readers compare equal
        return replace(kept[0], also=tuple(kept[1:]))

    @property
    def _anyone(self) -> bool:
        return self.everyone and not self.also

    @property
    def _only_users(self) -> bool:
        return not (self.everyone or self.groups or self.also)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the source has it. `content` is raw bytes; the platform parses by `mime`.

    `title` may be empty: the platform then takes the document's own, else the last part of its id.
    `version` changes whenever the content does (a hash, a revision).
    """

    id: str
    title: str
    content: bytes
    mime: str
    version: str
    access: Access
    data_class: str = "internal"
    url: str = ""
    space: str = ""
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A document whose version is the one already known: only its access may differ, so no bytes are sent."""

    id: str
    access: Access
    data_class: str = "internal"


@dataclass(frozen=True, slots=True)
class Deletion:
    id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One document that could not be read; the rest goes on."""

    id: str
    name: str
    cause: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything before it was handed over; `state` (JSON) comes back at the next call. `complete` ends a full listing:
    what the platform knows and this listing did not name is gone at the source."""

    state: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False


Change = Document | Unchanged | Deletion | Failure | Checkpoint


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of `list_ids`. `version` is that of `Document`; empty where a listing does not tell it."""

    id: str
    version: str
    access: Access
    data_class: str = "internal"


@dataclass(frozen=True, slots=True)
class AccessChange:
    """New readers of one document, without its content."""

    id: str
    access: Access
    data_class: str = "internal"


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook call as it came in. Header names are in lower case; `query` are the address's parameters."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handled:
    """What an event means: `ids` are read again or are gone, `permissions` and `groups` are asked for anew, and `reply`
    is the answer's body (a handshake wants its challenge back)."""

    ids: tuple[str, ...] = ()
    content: bool = False
    permissions: bool = False
    groups: bool = False
    reply: bytes = b""


@dataclass(frozen=True, slots=True)
class Reader:
    """The person of a live question."""

    email: str
    name: str = ""


# --- Checks and faults ---------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """A network fault is not a bad credential: when in doubt, `indeterminate`."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Check:
    """One answer of `validate`: what was checked, how it went, why, and what to do."""

    name: str
    outcome: Outcome
    message: str
    fix: str = ""

    @classmethod
    def attempt(cls, name: str, look: Callable[[], str]) -> Check:
        """Passed with the message that `look` returns; a `SourceFault` it raises becomes failed or indeterminate."""
        try:
            return cls(name, Outcome.PASSED, look())
        except SourceFault as fault:
            outcome = Outcome.INDETERMINATE if fault.passing else Outcome.FAILED
            return cls(name, outcome, fault.message, fault.fix)

    @classmethod
    def not_checked(cls, name: str, why: str = "Not checked.") -> Check:
        return cls(name, Outcome.INDETERMINATE, why)


class BadEvent(Exception):
    """A webhook call that is not from the source: a wrong or missing signature, or a body that cannot be read."""


# --- What the platform gives ---------------------------------------------------------------------------------------


def _never() -> bool:
    return False


def _silent(_text: str, _done: int | None = None, _total: int | None = None) -> None:
    pass


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """What the platform gives: an HTTP client (retries, rate limit, `Retry-After`), cancellation to be polled, progress
    (a text, and how many of how many where that is known), a clock, and the largest document worth sending, in bytes."""

    http: Http = field(default_factory=Http)
    cancelled: Callable[[], bool] = _never
    progress: Callable[[str, int | None, int | None], None] | Callable[..., None] = _silent
    clock: Callable[[], datetime] = _utc_now
    max_bytes: int = 25_000_000


# --- What a connector declares and does ----------------------------------------------------------------------------


def _web_address(value: str) -> str:
    address = value.strip().rstrip("/")
    if not address.startswith(("https://", "http://")):
        raise ValueError("enter an address that starts with https:// or http://")
    return address


WebAddress = Annotated[str, AfterValidator(_web_address)]
"""A field for the address of a web API, kept without a slash at its end."""


class Settings(BaseModel):
    """Base of a connector's settings; the admin's form is made from the fields' titles and descriptions."""

    model_config = ConfigDict(extra="forbid")


class ClassedSettings(Settings):
    """Settings of a source that has no data classes of its own: one for all it holds."""

    data_class: DataClassName = Field(
        default="internal",
        title="Data class",
        description="How sensitive its documents are; it decides which models may see them.",
    )


class Secrets(BaseModel):
    """Base of a connector's secrets: every field a `SecretStr`. The default has none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults that an admin may change. Seconds, requests a minute, and the share of documents (0 to 1) that one sync may
    remove without being asked for. Permissions older than `permissions_max_age_s` are not trusted."""

    content_every_s: int = 1800
    permissions_every_s: int = 300
    groups_every_s: int = 300
    permissions_max_age_s: int = 3600
    requests_per_minute: int = 600
    removal_share: float = 0.3


class Capability(StrEnum):
    """What a connector can do beyond `validate` and `changes`; the value is the method's name."""

    LISTING = "list_ids"
    ACCESS = "access"
    GROUPS = "groups"
    REFETCH = "refetch"
    EVENTS = "handle_event"
    LIVE_CHECK = "may_read"
    WATCH = "watch"


class Connector(ABC):
    """One configured source."""

    kind: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    category: ClassVar[str] = "Other"
    """Files, Wikis, Tickets, Mail, Chat, Databases, Web or Other: the admin's list is grouped by it."""
    setup_help: ClassVar[str] = ""
    """Markdown for the admin: where to create the credential, and which scopes to grant."""
    contract_version: ClassVar[int] = CONTRACT_VERSION
    settings_model: ClassVar[type[BaseModel]]
    secrets_model: ClassVar[type[BaseModel]] = Secrets
    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        settings: BaseModel,
        secrets: BaseModel | None = None,
        context: Context | None = None,
    ) -> None:
        self.settings = settings
        self.secrets = secrets if secrets is not None else self.secrets_model()
        self.context = context or Context()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The optional methods that this class writes. Override where a setting decides."""
        return frozenset(
            capability
            for capability in Capability
            if getattr(type(self), capability.value) is not getattr(Connector, capability.value)
        )

    @abstractmethod
    def validate(self) -> list[Check]:
        """Checks `content`, `permissions` and, with groups, `groups` separately. Never raises for a source that is down."""

    @abstractmethod
    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Documents, deletions and failures since `checkpoint` (empty at first), in batches closed by `Checkpoint`.

        `known` maps the id of each document already indexed to its version: a document of that version may be sent as
        `Unchanged`. Harmless to repeat. Raises `SourceFault` when the source as a whole cannot be read.
        """

    def list_ids(self) -> Iterator[Listed]:
        """Every document there is, with readers: what it does not name is gone. Raises `SourceFault` where it cannot be
        complete, so that nothing is deleted for a page that failed to load."""
        raise NotImplementedError

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Changes of readers since the state of its last `Checkpoint` (empty: every document), closed by one. When it
        ends, the readers of every document it did not name are confirmed as they are. Raises `SourceFault`."""
        raise NotImplementedError

    def groups(self) -> Mapping[str, frozenset[str]]:
        """Group name to members: e-mail addresses, or `group:<name>` for a nested one. Raises `SourceFault`."""
        raise NotImplementedError

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        """These documents as they are now: `Document`, `Deletion` or `Failure` for each. Raises `SourceFault`."""
        raise NotImplementedError

    def handle_event(self, event: Event) -> Handled:
        """What a webhook call means. Verifies its signature first. Raises `BadEvent`."""
        raise NotImplementedError

    def may_read(self, document_id: str, reader: Reader) -> bool:
        """Asks the source now. Raises `SourceFault` where it cannot tell; the platform then shows nothing."""
        raise NotImplementedError

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls `changed` soon after something changed, from a thread of its own; returns what ends it."""
        raise NotImplementedError
