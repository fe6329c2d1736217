"""Everything that can go wrong in a sign-in: what the person reads, the HTTP status, and the code that is recorded.

400 is a request that cannot be continued, 403 an identity that may not come in, 502 an answer of the provider that cannot
be trusted, 503 a provider that does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.errors import ProviderUnavailable, SignInError

AGAIN = "Start the sign-in again."
TELL_IT = "Start the sign-in again. If it stays, tell your IT team the code below."


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail: `reason` is recorded, the rest is shown."""

    reason: str
    status: int
    title: str
    message: str
    fix: str = AGAIN


_ALL = (
    Fault(
        "state_missing",
        400,
        "This sign-in cannot be continued",
        "The answer of the identity provider came without the mark that Switchboard gave it.",
    ),
    Fault(
        "state_unknown",
        400,
        "This sign-in cannot be continued",
        "This sign-in was not started in this browser, or it was started long ago.",
    ),
    Fault(
        "cookie_missing",
        400,
        "Your browser did not send the sign-in cookie",
        "Without it Switchboard cannot tell that this sign-in is yours. Cookies may be blocked, or the sign-in began "
        "in another browser.",
        "Allow cookies for this address, then start the sign-in again.",
    ),
    Fault(
        "state_expired",
        400,
        "This sign-in took too long",
        "A sign-in must be finished within 10 minutes.",
    ),
    Fault(
        "state_replayed",
        400,
        "This sign-in was used already",
        "Each sign-in works once. A reload or the back button brings you here.",
        "If you are signed in, open Switchboard. Otherwise start the sign-in again.",
    ),
    Fault(
        "code_missing",
        400,
        "This sign-in cannot be continued",
        "The identity provider sent you back without a code.",
        TELL_IT,
    ),
    Fault(
        "code_refused",
        400,
        "The sign-in code is no longer valid",
        "The identity provider says that the code has expired or was used before.",
    ),
    Fault(
        "access_denied",
        403,
        "The identity provider did not let you in",
        "The sign-in was cancelled, or you are not assigned to Switchboard there.",
        "Start the sign-in again, or ask your IT team to give you access.",
    ),
    Fault(
        "provider_error",
        502,
        "The identity provider reported an error",
        "It could not complete the sign-in.",
        TELL_IT,
    ),
    Fault(
        "client_refused",
        502,
        "The identity provider does not accept Switchboard",
        "It refused the client id or secret that Switchboard is configured with.",
        "An admin must correct SWITCHBOARD_OIDC_CLIENT_ID or SWITCHBOARD_OIDC_CLIENT_SECRET.",
    ),
    Fault(
        "provider_down",
        503,
        "The identity provider does not answer",
        "Switchboard could not reach it, so nobody can sign in at the moment. Open sessions keep working.",
        "Try again in a minute. If it stays, tell your IT team.",
    ),
    Fault(
        "provider_metadata",
        502,
        "The identity provider is not set up as expected",
        "Its published configuration is missing, incomplete or belongs to another issuer.",
        "An admin must check SWITCHBOARD_OIDC_ISSUER.",
    ),
    Fault(
        "provider_nonsense",
        502,
        "The identity provider's answer makes no sense",
        "Switchboard expected data and got something else.",
        TELL_IT,
    ),
    Fault(
        "id_token_missing",
        502,
        "The identity provider did not say who you are",
        "Its answer holds no ID token. The scope 'openid' may be missing.",
        "An admin must check SWITCHBOARD_OIDC_SCOPES.",
    ),
    Fault(
        "wrong_issuer",
        502,
        "The proof of identity comes from elsewhere",
        "It names another issuer than the one configured.",
        TELL_IT,
    ),
    Fault(
        "wrong_audience",
        502,
        "The proof of identity is meant for another application",
        "Its audience is not Switchboard.",
        TELL_IT,
    ),
    Fault(
        "wrong_nonce",
        502,
        "The proof of identity belongs to another sign-in",
        "Its nonce is not the one that this sign-in asked for.",
        TELL_IT,
    ),
    Fault(
        "bad_signature",
        502,
        "The proof of identity is not signed by the provider",
        "The signature fits none of the provider's keys.",
        TELL_IT,
    ),
    Fault(
        "bad_algorithm",
        502,
        "The proof of identity is signed in a way that is not accepted",
        "Switchboard takes asymmetric signatures only (RS, PS, ES or EdDSA).",
        "An admin must choose another signing algorithm for this client at the provider.",
    ),
    Fault(
        "bad_token",
        502,
        "The proof of identity is damaged",
        "A part of the ID token is missing or wrong.",
        TELL_IT,
    ),
    Fault(
        "clock_skew",
        502,
        "The clocks do not agree",
        "By this server's clock the proof of identity has expired or is not valid yet.",
        "Try again. If it stays, an admin must correct the clock of this server or of the provider.",
    ),
    Fault(
        "userinfo_mismatch",
        502,
        "The identity provider contradicts itself",
        "Its user information is about somebody else than its ID token.",
        TELL_IT,
    ),
    Fault(
        "no_email",
        403,
        "Your account has no e-mail address",
        "The identity provider sent none, and Switchboard knows people by it.",
        "Ask your IT team to add an e-mail address to your account and to release it to Switchboard.",
    ),
    Fault(
        "email_unverified",
        403,
        "Your e-mail address is not confirmed",
        "The identity provider says that your address was never verified.",
        "Confirm the address at your identity provider, then start the sign-in again.",
    ),
    Fault(
        "inactive_account",
        403,
        "Your account is deactivated",
        "An admin has deactivated your Switchboard account.",
        "If that is a mistake, ask your Switchboard admin.",
    ),
    Fault(
        "account_conflict",
        403,
        "This e-mail address belongs to another account",
        "Switchboard knows somebody else by it, so it will not mix the two.",
        "Ask your Switchboard admin to sort it out.",
    ),
    Fault(
        "internal_error",
        500,
        "Something broke on our side",
        "The sign-in could not be completed. Nothing was changed.",
        "Try again. If it stays, tell your Switchboard admin the code below.",
    ),
)
FAULTS: Mapping[str, Fault] = MappingProxyType({each.reason: each for each in _ALL})


def fault(reason: str, *, message: str = "", detail: str = "") -> SignInError:
    """The error for a reason of the table; `message` replaces its text, `detail` goes to the log."""
    known = FAULTS[reason]
    kind = ProviderUnavailable if known.status == 503 else SignInError
    return kind(message or known.message, reason=reason, fix=known.fix, detail=detail)
