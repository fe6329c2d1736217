"""Every error that Switchboard raises on purpose.

    SwitchboardError
    ├── ConfigurationError        a setting is missing, contradictory or unusable
    │   └── AlreadyRunning        another process owns the data folder
    ├── InputError                what a person (or a client of the API) sent cannot be used
    │   ├── NotFound              no such thing, or none that this person may know of
    │   └── TooLarge              it is bigger than what is accepted
    ├── Denied                    access decided against it, with a reason
    │   ├── NotSignedIn           no session, or one that has ended
    │   ├── Withheld              a document that this person may not read
    │   └── RateLimited           too many requests in the window
    ├── SignInError               a sign-in that did not end in a session
    │   └── ProviderUnavailable   the identity provider does not answer
    ├── ModelError                a model did not answer
    │   ├── ModelUnavailable      not reachable, overloaded, broken, or it answered nonsense
    │   │   └── ModelTimeout      no first token, or silence between tokens, for too long
    │   ├── ModelRateLimited      the provider asks us to wait
    │   ├── ModelBusy             as many answers stream from its provider as we allow at once
    │   ├── ModelCredential       the provider refused the key
    │   │   └── NoCredit          it knows the key, but its account has no credit left
    │   ├── ModelRefused          the model or its filter declined to answer
    │   ├── ContextTooLong        the prompt does not fit the model
    │   ├── NotCleared            the words or a passage are above the model's clearance; nothing was sent
    │   ├── OverBudget            a budget has no room for this model's answer; it was not asked
    │   └── ModelRequestError     the provider calls our request wrong
    ├── NoModel                   nothing in the route may or can answer
    │   └── BudgetUsedUp          something could, had a budget room for it
    ├── PromptError               a prompt file or its variables are wrong
    ├── ConnectorError            a source could not be read
    │   ├── SourceUnavailable     the source does not answer now
    │   └── DocumentError         one document failed; the rest goes on
    ├── IndexUnavailable          the vector index does not answer
    ├── ActionError               an action could not be carried out
    │   └── AlreadyDecided        somebody was quicker
    └── AuditError                the log does not hold together

Each speaks twice: `message` and `fix` are for the person, `detail` is for the log. No secret belongs in either.
"""

from __future__ import annotations


class SwitchboardError(Exception):
    """The root: `message` (what happened and why), `fix` (the way out), `detail` (for the log only)."""

    default_fix = "Try again. If it stays, tell your Switchboard admin."

    def __init__(self, message: str, *, fix: str | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix or self.default_fix
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"


class ConfigurationError(SwitchboardError):
    default_fix = "Correct the setting and start again."


class AlreadyRunning(ConfigurationError):
    default_fix = "Stop the other process, or give this one another SWITCHBOARD_DATA_DIR."


class InputError(SwitchboardError):
    default_fix = "Correct it and send it again."


class NotFound(InputError):
    default_fix = "Check the address, or go back to your chats."


class TooLarge(InputError):
    default_fix = "Send less."


class Denied(SwitchboardError):
    """Access was decided against it; `reason` names the rule."""

    default_fix = "If you need it, ask your Switchboard admin."

    def __init__(self, message: str, *, reason: str = "", fix: str | None = None) -> None:
        super().__init__(message, fix=fix, detail=reason)
        self.reason = reason


class NotSignedIn(Denied):
    default_fix = "Sign in again."


class Withheld(Denied):
    default_fix = "If you should see it, ask whoever owns the document."


class RateLimited(Denied):
    """`retry_after` is in seconds."""

    default_fix = "Wait a moment and send it again."

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, reason="rate limit")
        self.retry_after = retry_after


class SignInError(SwitchboardError):
    """`reason` is a short fixed code such as `state_mismatch`, safe to record."""

    default_fix = "Start the sign-in again."

    def __init__(
        self, message: str, *, reason: str, fix: str | None = None, detail: str = ""
    ) -> None:
        super().__init__(message, fix=fix, detail=detail)
        self.reason = reason


class ProviderUnavailable(SignInError):
    default_fix = "Try again in a minute. If it stays, tell your IT team."


class ModelError(SwitchboardError):
    """`retryable` says whether the same request may work elsewhere or later, `status` is the provider's HTTP code if it gave one."""

    retryable = True
    status: int | None = None


class ModelUnavailable(ModelError):
    pass


class ModelTimeout(ModelUnavailable):
    pass


class ModelRateLimited(ModelError):
    """`retry_after` in seconds, None where the provider did not say. `foreseen` means that it was not asked: its earlier
    answers told how much it would still take."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        detail: str = "",
        foreseen: bool = False,
    ) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after
        self.foreseen = foreseen


class ModelBusy(ModelError):
    default_fix = "Try again in a moment."


class ModelCredential(ModelError):
    default_fix = "An admin must replace the key."


class NoCredit(ModelCredential):
    default_fix = "An admin must look at the billing of the provider account."


class ModelRefused(ModelError):
    retryable = False
    default_fix = "Put the question differently."


class ContextTooLong(ModelError):
    default_fix = "Start a new chat or shorten the question."


class OverBudget(ModelError):
    default_fix = "Wait until the budget renews, or request more."


class NotCleared(ModelError):
    default_fix = "Ask your Switchboard admin which models may be sent such data."


class ModelRequestError(ModelError):
    default_fix = "Tell your Switchboard admin; the technical detail is in the log."


class NoModel(SwitchboardError):
    """`reasons` says for each model, by id, why it was left out. `failing`: one of them by its health alone."""

    default_fix = "Ask your Switchboard admin which models you may use."

    def __init__(
        self,
        message: str,
        *,
        reasons: dict[str, str] | None = None,
        fix: str | None = None,
        detail: str = "",
        failing: bool = False,
    ) -> None:
        super().__init__(message, fix=fix, detail=detail)
        self.reasons = reasons or {}
        self.failing = failing


class BudgetUsedUp(NoModel):
    default_fix = "Wait until it renews, or request more."


class PromptError(SwitchboardError):
    default_fix = "Correct the prompt file."


class ConnectorError(SwitchboardError):
    default_fix = "Correct the connector's settings and sync again."


class SourceUnavailable(ConnectorError):
    default_fix = "Check that the source is up, then sync again."


class DocumentError(ConnectorError):
    default_fix = "Correct the file and sync again."


class IndexUnavailable(SwitchboardError):
    pass


class ActionError(SwitchboardError):
    pass


class AlreadyDecided(ActionError):
    default_fix = "Reload to see what was decided."


class AuditError(SwitchboardError):
    default_fix = "Keep a copy of the database as it is and find out who changed it."
