"""The demo issuer: a real provider for invented people, on this machine only."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select

from app.db import Database
from app.db.tables import IssuerCodeRow
from app.demo.people import load_people
from app.domain import Role
from app.errors import ConfigurationError
from app.identity import SESSION_COOKIE, Identity, issuer_routes
from app.identity.issuer import person_key
from app.identity.issuer_store import KeyStore
from app.records import Ledger
from app.settings import Settings
from tests.identity.conftest import MakeSite, Site

VERIFIER = "v" * 64


@dataclass(frozen=True)
class Invented:
    email: str
    name: str
    title: str
    role: Role
    team: str
    groups: tuple[str, ...]


PEOPLE = (
    Invented("ada@demo.test", "Ada <Lind>", "Account Manager", Role.EMPLOYEE, "Sales", ("sales",)),
    Invented("mo@demo.test", "Mo", "IT", Role.ADMIN, "Operations", ("it", "admins")),
    Invented("tom@demo.test", "Tom Okafor", "Head", Role.TEAM_LEAD, "Sales", ("sales",)),
)


@pytest.fixture
def demo(make_site: MakeSite) -> Site:
    return make_site(people=PEOPLE)


def choose(browser: httpx.Client, page: httpx.Response, person: Invented) -> httpx.Response:
    """Presses the person's button on the sign-in page."""
    assert f'data-email="{person.email}"' in page.text
    action = html.unescape(re.search(r'action="([^"]*)"', page.text)[1])  # type: ignore[index]
    address = str(page.url.join(action))
    return browser.post(address, data={"person": person_key(person)})


def test_a_demo_person_signs_in_and_out(demo: Site) -> None:
    with demo.browser() as browser:
        page = demo.sign_in(browser, "/chat?c=1")
        assert page.status_code == 200
        landed = choose(browser, page, PEOPLE[1])
        assert landed.json() == {"path": "/chat?c=1"}
        assert demo.who(browser) == {
            "email": "mo@demo.test",
            "name": "Mo",
            "role": "admin",
            "team": "Operations",
            "principals": [
                "everyone",
                "group:idp/admins",
                "group:idp/it",
                "user:mo@demo.test",
            ],
        }
        assert "You are signed out" in browser.get("/auth/logout").text
        assert demo.who(browser) is None
    assert [event["type"] for event in demo.events()] == ["signed_in", "signed_out"]


def test_the_page_shows_everybody_by_team_and_says_that_it_is_a_demo(demo: Site) -> None:
    with demo.browser() as browser:
        text = demo.sign_in(browser).text
    assert "This is a demo" in text
    assert text.index("<h2>Sales") < text.index("Tom Okafor") < text.index("<h2>Operations")
    assert "Ada &lt;Lind&gt;" in text
    assert "Team lead" in text
    assert text.count('class="person"') == 3


def test_the_real_demo_company_can_sign_in(make_site: MakeSite) -> None:
    people = load_people()
    site = make_site(people=people)
    for person in (people[0], next(p for p in people if p.role is Role.ADMIN)):
        with site.browser() as browser:
            choose(browser, site.sign_in(browser), person)  # type: ignore[arg-type]
            who = site.who(browser)
        assert who is not None
        assert (who["email"], who["role"]) == (person.email.lower(), person.role.value)


def test_everybody_else_on_the_way_stays_out(demo: Site) -> None:
    with demo.browser() as browser:
        page = demo.sign_in(browser)
        stranger = Invented("eve@demo.test", "Eve", "", Role.ADMIN, "", ())
        again = browser.post(str(page.url), data={"person": person_key(stranger)})
        assert 'class="person"' in again.text, "an unknown person is asked again"
        assert SESSION_COOKIE not in browser.cookies


def test_choosing_nobody_is_a_denial(demo: Site) -> None:
    with demo.browser() as browser:
        page = demo.sign_in(browser)
        refused = browser.post(str(page.url), data={})
    assert refused.status_code == 403
    assert demo.events()[-1]["reason"] == "access_denied"


# The protocol, spoken by hand.


def query(demo: Site, **changes: Any) -> dict[str, str]:
    wanted = {
        "response_type": "code",
        "client_id": "switchboard",
        "redirect_uri": f"{demo.address}/auth/callback",
        "scope": "openid profile email groups",
        "state": "s",
        "nonce": "n",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def get_code(demo: Site, browser: httpx.Client, **changes: Any) -> str:
    back = browser.post(
        "/demo/issuer/authorize",
        params=query(demo, **changes),
        data={"person": person_key(PEOPLE[0])},
        follow_redirects=False,
    )
    answer = parse_qs(urlsplit(back.headers["location"]).query)
    assert answer["iss"] == [f"{demo.address}/demo/issuer"]
    assert answer["state"] == ["s"]
    return answer["code"][0]


def trade(demo: Site, browser: httpx.Client, issued: str, **changes: Any) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": issued,
        "redirect_uri": f"{demo.address}/auth/callback",
        "client_id": "switchboard",
        "code_verifier": VERIFIER,
        **changes,
    }
    return browser.post(
        "/demo/issuer/token", data={name: value for name, value in form.items() if value}
    )


def test_a_code_gives_a_signed_token(demo: Site) -> None:
    with demo.browser() as browser:
        token = trade(demo, browser, get_code(demo, browser)).json()
        keys = browser.get("/demo/issuer/jwks").json()
    assert "d" not in keys["keys"][0], "the private part stays here"
    assert "refresh_token" not in token
    claims = jwt.decode(token["id_token"], KeySet.import_key_set(keys), algorithms=["ES256"]).claims
    assert claims["iss"] == f"{demo.address}/demo/issuer"
    assert claims["aud"] == ["switchboard"]
    assert claims["nonce"] == "n"
    assert (claims["email"], claims["team"], claims["groups"]) == (
        "ada@demo.test",
        "Sales",
        ["sales"],
    )


def test_a_code_works_once(demo: Site) -> None:
    with demo.browser() as browser:
        code = get_code(demo, browser)
        assert trade(demo, browser, code).status_code == 200
        again = trade(demo, browser, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_code_lives_a_minute(demo: Site) -> None:
    with demo.browser() as browser:
        code = get_code(demo, browser)
        demo.clock.advance(seconds=61)
        assert trade(demo, browser, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 64},
        {"code_verifier": None},
        {"redirect_uri": "http://localhost:1/auth/callback"},
        {"code": "invented"},
        {"client_id": "another"},
        {"client_id": None},
        {"grant_type": "password"},
        {"grant_type": None},
    ],
)
def test_a_code_is_bound_to_verifier_address_and_client(demo: Site, changes: Any) -> None:
    with demo.browser() as browser:
        code = get_code(demo, browser)
        refused = trade(demo, browser, code, **changes)
        assert refused.status_code in (400, 401)
        assert "id_token" not in refused.text


def test_a_failed_try_burns_the_code(demo: Site) -> None:
    with demo.browser() as browser:
        code = get_code(demo, browser)
        trade(demo, browser, code, code_verifier="w" * 64)
        assert trade(demo, browser, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"redirect_uri": "https://evil.test/callback"},
        {"redirect_uri": "http://localhost:1/auth/callback"},
    ],
)
def test_nobody_is_sent_to_an_unknown_address(demo: Site, changes: Any) -> None:
    with demo.browser() as browser:
        for method in ("GET", "POST"):
            page = browser.request(
                method,
                "/demo/issuer/authorize",
                params=query(demo, **changes),
                data={"person": person_key(PEOPLE[0])} if method == "POST" else None,
                follow_redirects=False,
            )
            assert page.status_code == 400
            assert "location" not in page.headers
            assert "Start sign-in again" in page.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"nonce": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_an_unsafe_request_goes_back_with_its_error(demo: Site, changes: Any, error: str) -> None:
    with demo.browser() as browser:
        back = browser.get(
            "/demo/issuer/authorize", params=query(demo, **changes), follow_redirects=False
        )
    answer = parse_qs(urlsplit(back.headers["location"]).query)
    assert answer["error"] == [error]
    assert answer["iss"] == [f"{demo.address}/demo/issuer"]


def test_codes_are_in_the_database_as_hashes(demo: Site, database: Database) -> None:
    with demo.browser() as browser:
        code = get_code(demo, browser)
    with database.engine.connect() as connection:
        (row,) = connection.execute(select(IssuerCodeRow)).all()
    assert code not in repr(row)
    assert row.data["subject"] == person_key(PEOPLE[0])


def test_a_restart_and_a_new_key_disturb_nobody(demo: Site, database: Database) -> None:
    with demo.browser() as browser:
        choose(browser, demo.sign_in(browser), PEOPLE[0])
        KeyStore(database, demo.clock).rotate()
        choose(browser, demo.sign_in(browser), PEOPLE[2])
        who = demo.who(browser)
        assert who is not None
        assert who["role"] == "team_lead"
        keys = browser.get("/demo/issuer/jwks").json()["keys"]
        assert len(keys) == 2


def test_sign_out_goes_back_to_known_addresses_only(demo: Site) -> None:
    with demo.browser() as browser:
        token = trade(demo, browser, get_code(demo, browser)).json()["id_token"]
        for params in (
            {"post_logout_redirect_uri": "https://evil.test", "id_token_hint": token},
            {"post_logout_redirect_uri": f"{demo.address}/auth/logout"},
            {"post_logout_redirect_uri": f"{demo.address}/auth/logout", "id_token_hint": "forged"},
        ):
            page = browser.get(
                "/demo/issuer/end-session",
                params={"client_id": "switchboard", **params},
                follow_redirects=False,
            )
            assert "location" not in page.headers


# On this machine only.


@pytest.mark.parametrize("host", ["evil.test", "192.168.0.7:8501", "localhost.evil.test", ""])
def test_other_hosts_are_refused(demo: Site, host: str) -> None:
    with demo.browser() as browser:
        for path in ("authorize", "jwks", ".well-known/openid-configuration"):
            page = browser.get(f"/demo/issuer/{path}", headers={"host": host})
            assert page.status_code in (400, 403)
            assert "PEOPLE" not in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "192.168.0.7"},
        {"public_url": "https://chat.example.test"},
    ],
)
def test_it_refuses_to_start_beyond_loopback(
    settings: Settings, database: Database, ledger: Ledger, changes: dict[str, str]
) -> None:
    open_wide = settings.model_copy(update=changes)
    with pytest.raises(ConfigurationError, match="asks for no password"):
        issuer_routes(open_wide, database, PEOPLE)
    with pytest.raises(ConfigurationError, match="asks for no password"):
        Identity.build(open_wide, database, ledger)


def test_with_a_provider_there_is_no_demo_issuer(settings: Settings, database: Database) -> None:
    real = settings.model_copy(update={"oidc_issuer": "https://sso.test", "host": "0.0.0.0"})
    assert issuer_routes(real, database, PEOPLE) == []
