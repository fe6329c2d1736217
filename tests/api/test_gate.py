"""The gate: who may call how often, and what the watching machines may see."""

from __future__ import annotations

import httpx
import pytest
from starlette.routing import Route

from app.access import Policy
from app.access.catalogue import ROUTES
from app.api import api_routes
from app.api.gate import REFUSALS_RECORDED_PER_MINUTE, Gate, Visit
from app.domain import Role
from app.errors import Denied, ModelTimeout, NotSignedIn, RateLimited
from app.identity import Identity
from app.records import EventFilter, EventLog, Ledger
from app.settings import Settings
from tests.api.conftest import House
from tests.conftest import MakePerson


@pytest.fixture
def keys(settings: Settings, database, ledger: Ledger) -> Identity:  # type: ignore[no-untyped-def]
    return Identity.build(settings, database, ledger)


def visit(secret: str, route: str = "/v1/models", *, loopback: bool = False) -> Visit:
    return Visit(route, f"Bearer {secret}" if secret else "", "192.0.2.7", loopback)


def test_a_key_may_be_used_so_often_and_then_waits(
    keys: Identity,
    ledger: Ledger,
    make_person: MakePerson,
    database,  # type: ignore[no-untyped-def]
) -> None:
    ann, ben = make_person("Ann"), make_person("Ben")
    anns, _ = keys.keys.create(ann.id, "k", 1, ann.id)
    bens, _ = keys.keys.create(ben.id, "k", 1, ben.id)
    gate = Gate(keys.keys, Policy(), ledger, 3)
    left = [gate.enter(visit(anns)).headers["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            gate.enter(visit(anns))
        assert 0 < caught.value.retry_after <= 60
    assert gate.enter(visit(bens)).person.id == ben.id
    limited = EventLog(database).page(EventFilter(types=("access_denied",))).events
    assert [(e.actor, e.fields["reason"]) for e in limited] == [(ann.id, "rate limit")]


def test_guessing_keys_is_recorded_but_cannot_fill_the_log(
    keys: Identity,
    ledger: Ledger,
    database,  # type: ignore[no-untyped-def]
) -> None:
    gate = Gate(keys.keys, Policy(), ledger, 3)
    for n in range(REFUSALS_RECORDED_PER_MINUTE * 3):
        with pytest.raises(NotSignedIn):
            gate.enter(visit(f"sb_guess{n}"))
    recorded = EventLog(database).page(EventFilter(types=("access_denied",))).events
    assert len(recorded) == REFUSALS_RECORDED_PER_MINUTE
    assert {e.actor for e in recorded} == {"visitor"}
    assert not any("guess" in str(e.fields) for e in recorded)


def test_a_route_that_no_rule_allows_is_denied(
    keys: Identity, ledger: Ledger, make_person: MakePerson
) -> None:
    ann = make_person("Ann")
    secret, _ = keys.keys.create(ann.id, "k", 1, ann.id)
    with pytest.raises(Denied):
        Gate(keys.keys, Policy(), ledger, 9).enter(visit(secret, "/v1/secrets"))


def test_metrics_are_for_this_machine_and_admins(
    keys: Identity, ledger: Ledger, make_person: MakePerson
) -> None:
    ann, ada = make_person("Ann"), make_person("Ada", role=Role.ADMIN)
    anns, _ = keys.keys.create(ann.id, "k", 1, ann.id)
    adas, _ = keys.keys.create(ada.id, "k", 1, ada.id)
    gate = Gate(keys.keys, Policy(), ledger, 9)
    gate.enter_without_key(visit("", "/metrics", loopback=True))
    gate.enter_without_key(visit(adas, "/metrics"))
    with pytest.raises(NotSignedIn):
        gate.enter_without_key(visit("", "/metrics"))
    with pytest.raises(Denied):
        gate.enter_without_key(visit(anns, "/metrics"))


def test_metrics_over_http_do_not_trust_a_proxy_on_this_machine(house: House) -> None:
    with house.http(None) as http:
        assert http.get("/metrics").status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert http.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401


def test_metrics_count_turns_requests_and_errors(house: House) -> None:
    house.client().chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "How do I book a trip?"}]
    )
    with house.http(None) as http:
        http.get("/v1/models")
        text = http.get("/metrics").text
    assert 'switchboard_turns_total{status="finished"}' in text
    assert "switchboard_first_token_seconds_bucket" in text
    assert "switchboard_active_turns 0.0" in text
    assert 'switchboard_sync_runs{status="finished"}' in text
    assert 'switchboard_http_requests_total{method="GET",route="/v1/models",status="401"}' in text


def test_metrics_tell_how_each_model_is_doing(house: House) -> None:
    health = house.services.catalogue.health
    for _ in range(5):
        health.spoke("scripted", 0.25)
    health.failed("scripted", ModelTimeout("It kept silent."))
    with house.http(None) as http:
        text = http.get("/metrics").text
    health.succeeded("scripted")
    assert 'switchboard_model_left_out{model="scripted"} 1.0' in text
    assert 'switchboard_model_left_out{model="reader"} 0.0' in text
    assert 'switchboard_model_failure_ratio{model="scripted"}' in text
    assert 'switchboard_model_first_token_seconds{model="scripted",quantile="0.95"} 0.25' in text


def test_health_and_readiness(house: House) -> None:
    with house.http(None) as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        ready = http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "index": "ok"}


def test_every_answer_tells_what_is_left_of_the_limit(house: House) -> None:
    with house.http() as http:
        for path in ("/v1/models", "/v1/search?q=trip"):
            assert int(http.get(path).headers["ratelimit-remaining"]) > 0


def test_what_is_not_there_is_404_in_the_same_shape(house: House) -> None:
    with house.http() as http:
        for got in (http.post("/v1/embeddings", json={}), http.get("/v1/nothing/here")):
            assert got.status_code == 404
            assert got.json()["error"]["code"] == "not_found"
        assert http.get("/v1/chat/completions").json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"{house.address}/v1/anything").status_code == 401


def test_every_route_is_guarded_and_nothing_else_is_mounted(house: House) -> None:
    mounted = {route.path for route in api_routes(house.services) if isinstance(route, Route)}
    guarded = {route.path for route in ROUTES}
    assert mounted <= guarded
    assert {path for path in guarded if path.startswith("/v1/")} <= mounted
