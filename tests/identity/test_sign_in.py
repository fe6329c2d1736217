"""Sign-in against an independent provider: what works, and every way in which it does not."""

from __future__ import annotations

import dataclasses
import html
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.domain import Role
from app.errors import ConfigurationError, ProviderUnavailable, SignInError
from app.identity import SESSION_COOKIE, Identity
from app.identity.faults import FAULTS
from app.identity.provider import Provider
from tests.identity.conftest import MakeSite, Site, at
from tests.servers.oidc_provider import OidcProvider, free_port

Arrange = Callable[[OidcProvider], None]


def test_a_person_signs_in_and_lands_where_they_were_going(site: Site) -> None:
    with site.browser() as browser:
        landed = site.sign_in(browser, "/chat?c=conv_1")
        assert landed.json() == {"path": "/chat?c=conv_1"}
        assert site.who(browser) == {
            "email": "grace@example.test",
            "name": "Grace Hopper",
            "role": "employee",
            "team": "Engineering",
            "principals": ["everyone", "group:idp/engineers", "user:grace@example.test"],
        }
    (event,) = site.events()
    assert event["type"] == "signed_in"
    assert (event["email"], event["groups"]) == ("grace@example.test", 1)


def test_the_cookie_is_small_opaque_http_only_and_lax(site: Site, provider: OidcProvider) -> None:
    provider.claims["groups"] = [f"{n:08d}-0000-4000-8000-000000000000" for n in range(300)]
    with site.browser() as browser:
        back = browser.get(site.callback_address(browser), follow_redirects=False)
        cookie = back.headers["set-cookie"]
        assert cookie.startswith(f"{SESSION_COOKIE}=")
        assert len(cookie) < 200
        for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=259200"):
            assert part in cookie
        assert "Secure" not in cookie
        who = site.who(browser)
        assert who is not None
        assert len(who["principals"]) == 302
        token = browser.cookies[SESSION_COOKIE]
    (row,) = site.sessions()
    assert token not in row.model_dump_json()
    assert len(token) == 43


def test_the_cookie_is_secure_behind_https(make_site: MakeSite, provider: OidcProvider) -> None:
    site = make_site(public_url="https://chat.example.test", **at(provider))
    with httpx.Client(base_url=f"http://127.0.0.1:{site.settings.port}") as browser:
        answer = browser.get("/auth/login", headers={"host": "chat.example.test"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(provider.issuer)
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["cache-control"] == "no-store"


def test_a_browser_on_the_ip_address_is_moved_to_the_canonical_one_once(site: Site) -> None:
    port = site.settings.port
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as browser:
        moved = browser.get("/auth/login", params={"next": "/x"})
        assert moved.headers["location"] == f"http://localhost:{port}/auth/login?next=%2Fx&moved=1"
        assert "set-cookie" not in moved.headers
        # A proxy that hides the Host must not send the browser round in circles.
        again = browser.get("/auth/login", params={"next": "/x", "moved": "1"})
        assert "/authorize" in again.headers["location"]


def test_the_request_to_the_provider_has_state_nonce_and_pkce(site: Site) -> None:
    with site.browser() as browser:
        begun = browser.get("/auth/login", follow_redirects=False)
    query = parse_qs(urlsplit(begun.headers["location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{site.address}/auth/callback"]
    assert query["scope"] == ["openid profile email groups"]
    assert all(len(query[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))


def test_two_tabs_may_sign_in_at_once(site: Site) -> None:
    with site.browser() as browser:
        first, second = site.callback_address(browser), site.callback_address(browser)
        assert browser.get(second).status_code == 200
        assert browser.get(first).status_code == 200
        assert site.who(browser) is not None
    live = [row for row in site.sessions() if row.revoked_at is None]
    assert len(live) == 1, "signing in anew replaces this browser's session"


def test_rotated_keys_are_fetched_once_and_then_kept(site: Site, provider: OidcProvider) -> None:
    for _ in range(2):
        with site.browser() as browser:
            assert site.sign_in(browser).status_code == 200
    assert provider.asked["/jwks"] == 1
    provider.rotate()
    for _ in range(2):
        with site.browser() as browser:
            site.sign_in(browser)
            assert site.who(browser) is not None
    assert provider.asked["/jwks"] == 2
    assert provider.asked["/.well-known/openid-configuration"] == 1


def test_a_key_taken_out_of_the_set_is_distrusted_within_the_hour(
    site: Site, provider: OidcProvider
) -> None:
    with site.browser() as browser:
        site.sign_in(browser)
    provider.faults.no_jwks = True
    site.clock.advance(minutes=61)
    provider.faults.shift_s = 61 * 60
    with site.browser() as browser:
        assert site.sign_in(browser).status_code == 502


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda p: setattr(p.offer, "secret_by_post", True), id="secret by post"),
        pytest.param(lambda p: setattr(p.offer, "names_itself", True), id="names itself"),
        pytest.param(lambda p: setattr(p.offer, "userinfo", False), id="no userinfo"),
        pytest.param(lambda p: setattr(p.faults, "no_kid", True), id="token without kid"),
        pytest.param(
            lambda p: (p.add_encryption_key_first(), setattr(p.faults, "no_kid", True)),
            id="encryption key in the set",
        ),
        pytest.param(lambda p: setattr(p.faults, "shift_s", 55), id="clock ahead, tolerated"),
        pytest.param(lambda p: setattr(p.faults, "shift_s", -340), id="clock behind, tolerated"),
        pytest.param(lambda p: p.claims.update(azp=None) or p.claims.pop("azp"), id="plain"),
        pytest.param(lambda p: p.claims.pop("email_verified"), id="verification not stated"),
    ],
)
def test_providers_that_differ_are_understood(
    site: Site, provider: OidcProvider, arrange: Arrange
) -> None:
    arrange(provider)
    with site.browser() as browser:
        site.sign_in(browser)
        assert site.who(browser) is not None, site.events()


def test_groups_come_from_userinfo_when_the_token_has_none(
    site: Site, provider: OidcProvider
) -> None:
    provider.offer.groups_by_userinfo_only = True
    with site.browser() as browser:
        site.sign_in(browser)
        who = site.who(browser)
    assert who is not None
    assert "group:idp/engineers" in who["principals"]
    assert provider.asked["/userinfo"] == 1


def test_groups_that_the_provider_took_away_are_gone_at_the_next_sign_in(
    site: Site, provider: OidcProvider
) -> None:
    with site.browser() as browser:
        site.sign_in(browser)
        provider.claims["groups"] = []
        site.sign_in(browser)
        who = site.who(browser)
    assert who is not None
    assert who["principals"] == ["everyone", "user:grace@example.test"]


@pytest.mark.parametrize(
    ("changes", "claims", "role"),
    [
        ({}, {"groups": ["sb-admins"]}, "employee"),
        ({"oidc_role_groups": {"sb-admins": "admin"}}, {"groups": ["x", "sb-admins"]}, "admin"),
        (
            {"oidc_role_groups": {"leads": "team_lead", "sb-admins": "admin"}},
            {"groups": ["leads", "sb-admins"]},
            "admin",
        ),
        ({"oidc_role_claim": "role"}, {"role": "Team Lead"}, "team_lead"),
        ({"oidc_role_claim": "realm.roles"}, {"realm": {"roles": ["x", "admin"]}}, "admin"),
        ({"oidc_role_claim": "role"}, {"role": "superuser"}, "employee"),
        ({"oidc_group_claim": "https://a.test/groups"}, {"https://a.test/groups": "g"}, "employee"),
        ({"oidc_group_claim": ""}, {"groups": ["sb-admins"]}, "employee"),
        ({"oidc_role_groups": {"sb-admins": "admin"}}, {"groups": {"sb-admins": 1}}, "employee"),
    ],
)
def test_roles_come_from_claims_and_groups(
    make_site: MakeSite, provider: OidcProvider, changes: Any, claims: Any, role: str
) -> None:
    site = make_site(**at(provider), **changes)
    provider.claims |= claims
    with site.browser() as browser:
        site.sign_in(browser)
        who = site.who(browser)
    assert who is not None
    assert who["role"] == role


def test_a_pinned_role_survives_sign_in(
    make_site: MakeSite, provider: OidcProvider, make_person: Any
) -> None:
    site = make_site(**at(provider))
    boss = make_person("Boss", role=Role.ADMIN)
    with site.browser() as browser:
        site.sign_in(browser)
        grace = site.identity.accounts.by_email("grace@example.test")
        assert grace is not None
        site.identity.accounts.set_role(boss, grace.id, Role.TEAM_LEAD)
        who = site.who(browser)
        assert who is not None
        assert who["role"] == "team_lead", (
            "a role change counts at the next run, not the next sign-in"
        )
        site.sign_in(browser)
        who = site.who(browser)
        assert who is not None
        assert who["role"] == "team_lead"


# What goes wrong.

TOKEN_FAULTS: list[tuple[str, Arrange, str]] = [
    ("wrong nonce", lambda p: setattr(p.faults, "wrong_nonce", True), "wrong_nonce"),
    ("no nonce", lambda p: setattr(p.faults, "no_nonce", True), "wrong_nonce"),
    ("wrong audience", lambda p: setattr(p.faults, "wrong_audience", True), "wrong_audience"),
    ("azp missing", lambda p: setattr(p.faults, "second_audience", True), "wrong_audience"),
    ("other azp", lambda p: p.claims.update(azp="another-app"), "wrong_audience"),
    ("wrong issuer", lambda p: setattr(p.faults, "wrong_issuer", True), "wrong_issuer"),
    ("mixed up", lambda p: _set(p, names_itself=True, mixed_up=True), "wrong_issuer"),
    ("forged", lambda p: setattr(p.faults, "forged", True), "bad_signature"),
    ("forged, no kid", lambda p: _set(p, forged=True, no_kid=True), "bad_signature"),
    ("alg none", lambda p: setattr(p.faults, "algorithm", "none"), "bad_algorithm"),
    ("alg HS256", lambda p: setattr(p.faults, "algorithm", "HS256"), "bad_algorithm"),
    ("alg none, no kid", lambda p: _set(p, algorithm="none", no_kid=True), "bad_algorithm"),
    ("bad at_hash", lambda p: setattr(p.faults, "bad_at_hash", True), "bad_token"),
    ("no subject", lambda p: p.claims.pop("sub"), "bad_token"),
    ("expiry is a text", lambda p: p.claims.update(exp="tomorrow"), "bad_token"),
    ("clock ahead", lambda p: setattr(p.faults, "shift_s", 4000), "clock_skew"),
    ("clock behind", lambda p: setattr(p.faults, "shift_s", -4000), "clock_skew"),
    ("no id token", lambda p: setattr(p.faults, "no_id_token", True), "id_token_missing"),
    ("code expired", lambda p: setattr(p.faults, "expired_code", True), "code_refused"),
    ("client refused", lambda p: setattr(p.faults, "refuse_client", True), "client_refused"),
    ("html for a token", lambda p: setattr(p.faults, "token_html", True), "provider_nonsense"),
    ("broken", lambda p: setattr(p.faults, "token_500", True), "provider_down"),
    ("no keys", lambda p: setattr(p.faults, "no_jwks", True), "provider_metadata"),
    ("denied", lambda p: setattr(p.faults, "error", "access_denied"), "access_denied"),
    ("error", lambda p: setattr(p.faults, "error", "<script>x"), "provider_error"),
    ("no address", lambda p: p.claims.pop("email"), "no_email"),
    ("no real address", lambda p: p.claims.update(email="grace"), "no_email"),
    ("not verified", lambda p: p.claims.update(email_verified=False), "email_unverified"),
    (
        "userinfo of another",
        lambda p: _set(p, groups_by_userinfo_only=True, userinfo_other_person=True),
        "userinfo_mismatch",
    ),
]


def _set(provider: OidcProvider, **values: Any) -> None:
    for name, value in values.items():
        part = provider.faults if hasattr(provider.faults, name) else provider.offer
        setattr(part, name, value)


@pytest.mark.parametrize(
    ("arrange", "reason"), [row[1:] for row in TOKEN_FAULTS], ids=[row[0] for row in TOKEN_FAULTS]
)
def test_a_fault_is_a_clear_page_an_event_and_no_session(
    site: Site, provider: OidcProvider, arrange: Arrange, reason: str
) -> None:
    arrange(provider)
    with site.browser() as browser:
        refused(site, browser, site.sign_in(browser), reason)


def refused(
    site: Site, browser: httpx.Client, page: httpx.Response, reason: str, events: int = 1
) -> None:
    """The promise that holds for every fault."""
    known = FAULTS[reason]
    assert page.status_code == known.status, page.text
    assert known.title in html.unescape(page.text)
    assert "Start sign-in again" in page.text
    assert f"Code: {reason}" in page.text
    for forbidden in ("Traceback", "<script", "&lt;script", "eyJ", "code="):
        assert forbidden not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert SESSION_COOKIE not in browser.cookies
    assert site.sessions() == []
    failed = [event for event in site.events() if event["type"] == "sign_in_failed"]
    assert len(failed) == len(site.events()) == events
    assert failed[-1]["reason"] == reason
    assert failed[-1]["issuer"] == site.identity.provider.config.issuer


def test_a_callback_address_works_once(site: Site) -> None:
    with site.browser() as browser:
        address = site.callback_address(browser)
        browser.get(address)
        again = browser.get(address)
    assert again.status_code == 400
    assert FAULTS["state_replayed"].title in again.text
    assert [event["type"] for event in site.events()] == ["signed_in", "sign_in_failed"]
    assert len(site.sessions()) == 1


def test_a_failed_sign_in_cannot_be_retried_with_the_same_address(
    site: Site, provider: OidcProvider
) -> None:
    provider.faults.wrong_nonce = True
    with site.browser() as browser:
        address = site.callback_address(browser)
        browser.get(address)
        provider.faults.wrong_nonce = False
        refused(site, browser, browser.get(address), "state_replayed", events=2)


def test_a_sign_in_older_than_ten_minutes_is_refused(site: Site) -> None:
    with site.browser() as browser:
        address = site.callback_address(browser)
        site.clock.advance(minutes=10, seconds=1)
        refused(site, browser, browser.get(address), "state_expired")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("code=x", "state_missing"),
        ("code=x&state=", "state_missing"),
        (f"code=x&state={'a' * 5000}", "state_missing"),
        ("code=x&state=invented", "state_unknown"),
        ("error=access_denied&state=invented", "state_unknown"),
    ],
)
def test_a_callback_without_its_state_is_refused(site: Site, query: str, reason: str) -> None:
    with site.browser() as browser:
        browser.get("/auth/login", follow_redirects=False)
        refused(site, browser, browser.get(f"/auth/callback?{query}"), reason)


def test_a_callback_without_a_code_is_refused(site: Site) -> None:
    with site.browser() as browser:
        address = site.callback_address(browser)
        without = address.split("?")[0] + "?state=" + parse_qs(urlsplit(address).query)["state"][0]
        refused(site, browser, browser.get(without), "code_missing")


@pytest.mark.parametrize(
    ("cookies", "reason"),
    [({}, "cookie_missing"), ({"switchboard_login": "mine"}, "state_unknown")],
)
def test_somebody_elses_callback_address_signs_nobody_in(
    site: Site, cookies: dict[str, str], reason: str
) -> None:
    """Login CSRF: an attacker starts a sign-in and has the victim finish it."""
    with site.browser() as attacker, site.browser() as victim:
        address = site.callback_address(attacker)
        for name, value in cookies.items():
            victim.cookies.set(name, value)
        refused(site, victim, victim.get(address), reason)


def test_a_provider_that_is_down_is_said_so_before_anybody_leaves(
    make_site: MakeSite, provider: OidcProvider
) -> None:
    site = make_site(**{**at(provider), "oidc_issuer": f"http://localhost:{free_port()}"})
    with site.browser() as browser:
        refused(site, browser, site.sign_in(browser), "provider_down")


def test_a_provider_that_vanishes_in_between_is_said_so(site: Site) -> None:
    with site.browser() as browser:
        address = site.callback_address(browser)
        config = site.identity.provider.config
        site.identity.provider.config = dataclasses.replace(
            config, outer=config.issuer, inner=f"http://127.0.0.1:{free_port()}"
        )
        refused(site, browser, browser.get(address), "provider_down")


async def test_a_provider_that_is_too_slow_counts_as_down(
    site: Site, provider: OidcProvider
) -> None:
    provider.faults.slow_s = 1
    hasty = Provider(dataclasses.replace(site.identity.provider.config, timeout_s=0.2))
    with pytest.raises(ProviderUnavailable) as caught:
        await hasty.redeem(code="x", verifier="x", nonce="x", redirect_uri="x")
    assert caught.value.reason == "provider_down"


@pytest.mark.parametrize("issuer", ["/nothing-here", ""])
def test_an_address_that_is_no_issuer_is_refused(
    make_site: MakeSite, provider: OidcProvider, issuer: str
) -> None:
    if not issuer:
        provider.faults.issuer_elsewhere = True
    site = make_site(**{**at(provider), "oidc_issuer": provider.issuer + issuer})
    with site.browser() as browser:
        refused(site, browser, site.sign_in(browser), "provider_metadata")


def test_a_deactivated_person_cannot_sign_in_and_loses_what_they_had(
    site: Site, make_person: Any
) -> None:
    boss = make_person("Boss", role=Role.ADMIN)
    with site.browser() as browser:
        site.sign_in(browser)
        grace = site.identity.accounts.by_email("grace@example.test")
        assert grace is not None
        site.identity.accounts.set_active(boss, grace.id, False)
        assert site.who(browser) is None
        page = site.sign_in(browser)
    assert page.status_code == 403
    assert "Your account is deactivated" in page.text
    assert [row for row in site.sessions() if row.revoked_at is None] == []
    last = site.events()[-1]
    assert (last["type"], last["reason"], last["subject"]) == (
        "sign_in_failed",
        "inactive_account",
        "grace@example.test",
    )


def test_a_recycled_address_does_not_inherit_an_account(site: Site, provider: OidcProvider) -> None:
    with site.browser() as browser:
        site.sign_in(browser)
    provider.claims["sub"] = "u-2"
    with site.browser() as browser:
        page = site.sign_in(browser)
        assert page.status_code == 403
        assert site.who(browser) is None
    assert site.events()[-1]["reason"] == "account_conflict"


def test_a_new_address_of_the_same_subject_keeps_the_account(
    site: Site, provider: OidcProvider
) -> None:
    with site.browser() as browser:
        site.sign_in(browser)
        before = site.identity.accounts.by_email("grace@example.test")
        provider.claims["email"] = "grace.h@example.test"
        site.sign_in(browser)
        who = site.who(browser)
    after = site.identity.accounts.by_email("grace.h@example.test")
    assert before is not None
    assert after is not None
    assert before.id == after.id
    assert who is not None
    assert "user:grace@example.test" not in who["principals"]


def test_a_broken_database_is_a_page_too(site: Site) -> None:
    with site.browser() as browser:
        address = site.callback_address(browser)
        with site.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE session RENAME TO session_away")
        page = browser.get(address)
        with site.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE session_away RENAME TO session")
        refused(site, browser, page, "internal_error")
    assert site.identity.accounts.people() == [], (
        "the person is stored with the session or not at all"
    )


def test_the_log_holds_no_state_code_or_token(
    site: Site, provider: OidcProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.faults.forged = True
    with caplog.at_level(logging.INFO, logger="app"), site.browser() as browser:
        address = site.callback_address(browser)
        browser.get(address)
    secrets = [value[0] for value in parse_qs(urlsplit(address).query).values()]
    ours = " ".join(
        record.getMessage() for record in caplog.records if record.name.startswith("app")
    )
    assert "bad_signature" in ours
    assert not any(secret in ours for secret in [*secrets, "eyJ"])


# Signing out.


def test_signing_out_ends_the_session_here_and_at_the_provider(
    site: Site, provider: OidcProvider
) -> None:
    with site.browser() as browser, site.browser() as elsewhere:
        site.sign_in(browser)
        site.sign_in(elsewhere)
        page = browser.get("/auth/logout")
        assert "You are signed out" in page.text
        assert site.who(browser) is None
        assert site.who(elsewhere) is not None, "another session is another session"
        assert SESSION_COOKIE not in browser.cookies
    asked = provider.last_sign_out
    assert asked["post_logout_redirect_uri"] == f"{site.address}/auth/logout"
    assert asked["id_token_hint"].startswith("eyJ")
    assert site.events()[-1]["type"] == "signed_out"
    assert [row.id_token == "" for row in site.sessions()].count(True) == 1


def test_signing_out_twice_is_harmless(site: Site) -> None:
    with site.browser() as browser:
        site.sign_in(browser)
        browser.get("/auth/logout")
        assert browser.get("/auth/logout").status_code == 200
    assert [event["type"] for event in site.events()] == ["signed_in", "signed_out"]


def test_a_stolen_copy_of_the_cookie_is_worthless_after_sign_out(site: Site) -> None:
    with site.browser() as browser, site.browser() as thief:
        site.sign_in(browser)
        thief.cookies.set(SESSION_COOKIE, browser.cookies[SESSION_COOKIE], domain="localhost.local")
        assert site.who(thief) is not None
        browser.get("/auth/logout")
        assert site.who(thief) is None


@pytest.mark.parametrize("gone", ["no endpoint", "hundreds of groups", "down"])
def test_signing_out_works_whatever_the_provider_does(
    site: Site, provider: OidcProvider, gone: str
) -> None:
    if gone == "no endpoint":
        provider.offer.end_session = False
    if gone == "hundreds of groups":
        provider.claims["groups"] = [f"group-{n:030d}" for n in range(300)]
    with site.browser() as browser:
        site.sign_in(browser)
        if gone == "down":
            config = site.identity.provider.config
            site.clock.advance(minutes=61)  # so that discovery must be asked again
            site.identity.provider.config = dataclasses.replace(
                config, outer=config.issuer, inner=f"http://127.0.0.1:{free_port()}"
            )
        assert "You are signed out" in browser.get("/auth/logout").text
        assert site.who(browser) is None
    assert "id_token_hint" not in provider.last_sign_out


def test_a_link_on_another_site_does_not_sign_out(site: Site) -> None:
    with site.browser() as browser:
        site.sign_in(browser)
        page = browser.get("/auth/logout", headers={"sec-fetch-site": "cross-site"})
        assert "Sign out of Switchboard?" in page.text
        assert site.who(browser) is not None


# Configuration and the pre-flight.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oidc_client_id": ""}, "SWITCHBOARD_OIDC_CLIENT_ID"),
        ({"oidc_issuer": "http://sso.example.test"}, "https"),
        ({"oidc_role_groups": {"a": "king"}}, "SWITCHBOARD_OIDC_ROLE_GROUPS"),
    ],
)
def test_a_provider_that_cannot_work_is_refused_at_start(
    settings: Any, database: Any, ledger: Any, changes: Any, words: str
) -> None:
    wanted = {"oidc_issuer": "https://sso.example.test", "oidc_client_id": "x", **changes}
    with pytest.raises(ConfigurationError, match=words):
        Identity.build(settings.model_copy(update=wanted), database, ledger)


async def test_the_pre_flight_tells_issuer_and_clock(site: Site, provider: OidcProvider) -> None:
    found = await site.identity.provider.check()
    assert found.issuer == provider.issuer
    assert found.skew_s is not None
    assert abs(found.skew_s) < 5
    assert found.algorithms == ("RS256",)
    assert found.signs_out
    provider.faults.no_jwks = True
    with pytest.raises(SignInError):
        await site.identity.provider.check()


def test_nothing_symmetric_is_ever_accepted() -> None:
    from app.identity.id_token import allowed_algorithms

    assert allowed_algorithms(["HS256", "none"]) == ()
    assert allowed_algorithms([]) == ("RS256",)


def test_every_fault_says_what_why_and_what_to_do() -> None:
    for reason, known in FAULTS.items():
        assert known.reason == reason
        assert known.title
        assert known.message.endswith(".")
        assert known.fix.endswith(".")
        assert known.status in (400, 403, 500, 502, 503)
