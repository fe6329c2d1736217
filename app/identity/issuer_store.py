"""What the demo issuer keeps in the database, so that a restart or a second process changes nothing: keys and codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from authlib.oidc.core import AuthorizationCodeMixin
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import delete, select, update
from sqlmodel import col

from app.db import Database
from app.db.tables import IssuerCodeRow, IssuerKeyRow
from app.identity.opaque import digest

ALGORITHM = "ES256"
CODE_LIFE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class IssuedCode(AuthorizationCodeMixin):  # type: ignore[misc]
    """What a code stands for. `subject` is the person's key."""

    client_id: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    subject: str
    auth_time: int

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time


class CodeStore:
    """Codes by hash; each is given out once, within 60 s."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def keep(self, code: str, issued: IssuedCode) -> None:
        moment = self._clock()
        with self._database.write() as session:
            session.execute(
                delete(IssuerCodeRow).where(
                    col(IssuerCodeRow.created_at) < moment - timedelta(days=1)
                )
            )
            session.add(
                IssuerCodeRow(code_hash=digest(code), data=asdict(issued), created_at=moment)
            )

    def take(self, code: str, client_id: str) -> IssuedCode | None:
        """The code's meaning, and the code is spent; None for one unknown, spent, too old, or of another client."""
        moment = self._clock()
        with self._database.write() as session:
            data = session.execute(
                update(IssuerCodeRow)
                .where(
                    col(IssuerCodeRow.code_hash) == digest(code),
                    col(IssuerCodeRow.used_at).is_(None),
                    col(IssuerCodeRow.created_at) >= moment - CODE_LIFE,
                )
                .values(used_at=moment)
                .returning(col(IssuerCodeRow.data))
            ).scalar_one_or_none()
        if data is None or data["client_id"] != client_id:
            return None
        return IssuedCode(**data)


class KeyStore:
    """Signing keys; the newest signs, all are published. Kept in clear text: they vouch for invented people only."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def keys(self) -> KeySet:
        """Newest first, with private parts; the first call of a data folder makes one."""
        with self._database.read() as session:
            rows = session.execute(
                select(col(IssuerKeyRow.private_jwk)).order_by(col(IssuerKeyRow.created_at).desc())
            ).scalars()
            keys = [ECKey.import_key(jwk) for jwk in rows]
        return KeySet(list(keys)) if keys else KeySet([self.rotate()])

    def rotate(self) -> ECKey:
        """Adds a key, which signs from now on."""
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
        with self._database.write() as session:
            session.add(
                IssuerKeyRow(
                    kid=str(key.kid),
                    private_jwk=dict(key.as_dict(private=True)),
                    created_at=self._clock(),
                )
            )
        return key
