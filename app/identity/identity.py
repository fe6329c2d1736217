"""Everything of this room, built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.db import Database
from app.domain import now
from app.errors import ConfigurationError
from app.identity.accounts import Accounts
from app.identity.addresses import host_of, is_loopback, secure_or_loopback
from app.identity.claims import ClaimNames, role_groups
from app.identity.groups import Directory
from app.identity.keys import ApiKeys
from app.identity.provider import Provider, ProviderConfig
from app.identity.sessions import Sessions
from app.identity.signin import SignIn
from app.records import Ledger
from app.settings import Settings

ISSUER_PATH = "/demo/issuer"
DEMO_CLIENT = "switchboard"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking: people, groups, sessions, keys, and the way in."""

    accounts: Accounts
    directory: Directory
    sessions: Sessions
    keys: ApiKeys
    provider: Provider
    sign_in: SignIn

    @classmethod
    def build(
        cls,
        settings: Settings,
        database: Database,
        ledger: Ledger,
        clock: Callable[[], datetime] = now,
    ) -> Identity:
        """Raises ConfigurationError for an unusable provider, or a demo that others could reach. Needs no network."""
        config = demo_config(settings) if settings.demo_issuer else configured(settings)
        directory = Directory(database)
        accounts = Accounts(database, ledger, directory, clock)
        sessions = Sessions(database, ledger, accounts, settings, clock)
        provider = Provider(config, clock)
        return cls(
            accounts=accounts,
            directory=directory,
            sessions=sessions,
            keys=ApiKeys(database, ledger, accounts, clock),
            provider=provider,
            sign_in=SignIn(settings, database, ledger, accounts, sessions, provider, clock),
        )


def configured(settings: Settings) -> ProviderConfig:
    """The provider of the environment."""
    if not settings.oidc_client_id:
        raise ConfigurationError(
            "SWITCHBOARD_OIDC_ISSUER is set but SWITCHBOARD_OIDC_CLIENT_ID is not.",
            fix="Register Switchboard at the provider and set both.",
        )
    if not secure_or_loopback(settings.oidc_issuer):
        raise ConfigurationError(
            "SWITCHBOARD_OIDC_ISSUER is not an https address.",
            fix="Use https; plain http is accepted on this machine only (localhost).",
        )
    return ProviderConfig(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        scopes=settings.oidc_scopes,
        claims=ClaimNames(
            groups=settings.oidc_group_claim,
            role=settings.oidc_role_claim,
            team=settings.oidc_team_claim,
            role_groups=role_groups(settings.oidc_role_groups),
        ),
        clock_skew_s=settings.clock_skew_s,
    )


def demo_config(settings: Settings) -> ProviderConfig:
    """The demo issuer as a provider. A public client: PKCE binds the code, and there is no secret to leak."""
    refuse_beyond_loopback(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return ProviderConfig(
        issuer=settings.address + ISSUER_PATH,
        client_id=DEMO_CLIENT,
        client_secret="",
        scopes="openid profile email groups",
        claims=ClaimNames(groups="groups", role="role", team="team"),
        clock_skew_s=settings.clock_skew_s,
        outer=settings.address,
        inner=f"http://{host}:{settings.port}",
    )


def refuse_beyond_loopback(settings: Settings) -> None:
    """The demo issuer lets anybody be anybody, so nobody else may reach it."""
    fix = (
        "Set SWITCHBOARD_OIDC_ISSUER, SWITCHBOARD_OIDC_CLIENT_ID and SWITCHBOARD_OIDC_CLIENT_SECRET to your provider's, "
        "or keep SWITCHBOARD_HOST and SWITCHBOARD_PUBLIC_URL on this machine."
    )
    if settings.listens_beyond_loopback:
        raise ConfigurationError(
            f"No identity provider is configured and Switchboard would listen on {settings.host}: "
            "the demo sign-in asks for no password, so it runs on this machine only.",
            fix=fix,
        )
    if not is_loopback(host_of(settings.address)):
        raise ConfigurationError(
            f"No identity provider is configured and Switchboard would be reached at {settings.address}: "
            "the demo sign-in asks for no password, so it runs on this machine only.",
            fix=fix,
        )
