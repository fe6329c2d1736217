"""The sign-in itself: begin, complete, end. A session appears in one transaction with the person, or not at all.

What must survive until the browser comes back (nonce, PKCE verifier, where to go) is a `LoginAttemptRow`, found by a hash
over the state and a cookie that only the starting browser has: somebody else's callback address opens nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from anyio.to_thread import run_sync
from sqlalchemy import delete, select, update
from sqlmodel import col

from app.db import Database
from app.db.tables import LoginAttemptRow
from app.domain import now
from app.errors import SignInError
from app.identity.accounts import Accounts
from app.identity.addresses import local_path
from app.identity.claims import Proof
from app.identity.faults import fault
from app.identity.opaque import LONGEST, digest, new_token
from app.identity.provider import Provider
from app.identity.sessions import Sessions
from app.records import Ledger
from app.records.events import SignInFailed
from app.settings import Settings

log = logging.getLogger(__name__)

CALLBACK_PATH = "/auth/callback"
LOGOUT_PATH = "/auth/logout"
ATTEMPT_LIFE = timedelta(minutes=10)
KEEP_ATTEMPTS = timedelta(days=1)
PROVIDER_ERRORS = frozenset({"access_denied", "consent_required", "interaction_required"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought to the callback."""

    state: str = ""
    code: str = ""
    error: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    nonce: str
    verifier: str
    next_path: str


class SignIn:
    """Every refusal is a SignInError, recorded as SignInFailed before it is raised."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ledger: Ledger,
        accounts: Accounts,
        sessions: Sessions,
        provider: Provider,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._address = settings.address
        self._database = database
        self._ledger = ledger
        self._accounts = accounts
        self._sessions = sessions
        self._provider = provider
        self._clock = clock

    @property
    def redirect_uri(self) -> str:
        return self._address + CALLBACK_PATH

    async def begin(self, next_path: str | None, browser: str) -> str:
        """The provider's address to send the browser to. `browser` is the value of its sign-in cookie."""
        state, nonce, verifier = new_token(), new_token(), secrets.token_urlsafe(48)
        try:
            url = await self._provider.authorization_url(
                state=state, nonce=nonce, verifier=verifier, redirect_uri=self.redirect_uri
            )
        except SignInError as error:
            await self.record_failure(error)
            raise
        attempt = LoginAttemptRow(
            state_hash=_attempt_key(state, browser),
            nonce=nonce,
            code_verifier=verifier,
            next_path=local_path(next_path),
            created_at=self._clock(),
        )
        await run_sync(self._remember, attempt)
        return url

    async def complete(self, answer: Answer, browser: str, user_agent: str) -> tuple[str, str]:
        """The new session's token and the path to open."""
        subject = ""
        try:
            attempt = await run_sync(self._claim, answer.state, browser)
            _check_answer(answer)
            await self._provider.check_answer(answer.issuer)
            proof = await self._provider.redeem(
                code=answer.code,
                verifier=attempt.verifier,
                nonce=attempt.nonce,
                redirect_uri=self.redirect_uri,
            )
            subject = proof.email
            return await run_sync(self._admit, proof, user_agent), attempt.next_path
        except SignInError as error:
            await self.record_failure(error, subject)
            raise

    async def end(self, token: str | None) -> str | None:
        """Ends the session and returns the provider's sign-out page, if it has one."""
        ended = await run_sync(self._sessions.revoke, token)
        if ended is None:
            return None
        return await self._provider.sign_out_url(ended.id_token, self._address + LOGOUT_PATH)

    async def record_failure(self, error: SignInError, subject: str = "") -> None:
        """One event and one log line; neither holds a token, a code or a state."""
        log.warning("sign-in failed: %s (%s)", error.reason, error.detail)
        issuer = self._provider.config.issuer
        event = SignInFailed(reason=error.reason, issuer=issuer, subject=subject)
        await run_sync(self._ledger.record, event)

    def _remember(self, attempt: LoginAttemptRow) -> None:
        with self._database.write() as session:
            session.execute(
                delete(LoginAttemptRow).where(
                    col(LoginAttemptRow.created_at) < self._clock() - KEEP_ATTEMPTS
                )
            )
            session.add(attempt)

    def _claim(self, state: str, browser: str) -> Attempt:
        """Takes the attempt so that nobody can again, whatever comes after."""
        if not state or len(state) > LONGEST:
            raise fault("state_missing")
        if not browser:
            raise fault("cookie_missing")
        key = _attempt_key(state, browser)
        with self._database.write() as session:
            row = session.execute(
                select(LoginAttemptRow).where(col(LoginAttemptRow.state_hash) == key)
            ).scalar_one_or_none()
            taken = session.execute(
                update(LoginAttemptRow)
                .where(
                    col(LoginAttemptRow.state_hash) == key, col(LoginAttemptRow.used_at).is_(None)
                )
                .values(used_at=self._clock())
                .returning(col(LoginAttemptRow.state_hash))
                .execution_options(synchronize_session=False)
            ).one_or_none()
        if row is None:
            raise fault("state_unknown")
        if taken is None:
            raise fault("state_replayed")
        if self._clock() - row.created_at > ATTEMPT_LIFE:
            raise fault("state_expired")
        return Attempt(row.nonce, row.code_verifier, row.next_path)

    def _admit(self, proof: Proof, user_agent: str) -> str:
        with self._database.write() as session:
            person = self._accounts.upsert(
                session,
                issuer=proof.issuer,
                subject=proof.subject,
                email=proof.email,
                name=proof.name,
                role=proof.role,
                team=proof.team,
                groups=proof.groups,
            )
            if not person.active:  # raising rolls everything back
                raise fault("inactive_account")
            return self._sessions.open(session, person, user_agent, proof.id_token)


def _attempt_key(state: str, browser: str) -> str:
    return digest(f"{state}.{browser}")


def _check_answer(answer: Answer) -> None:
    if answer.error:
        refused = answer.error in PROVIDER_ERRORS
        raise fault(
            "access_denied" if refused else "provider_error", detail=repr(answer.error[:60])
        )
    if not answer.code:
        raise fault("code_missing")
