"""The receiver gets the approved bytes with one key however often it is tried, and a refusal is said in words."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from app.actions import webhook
from app.actions.effects import Work
from app.errors import ActionError
from app.settings import Settings
from tests.actions.conftest import Receiver

WORK = Work("act_1", "person_1", {"subject": "Grüße", "a": 1})


def test_it_posts_the_canonical_text_and_its_keys(settings: Settings, receiver: Receiver) -> None:
    assert webhook.send(settings, WORK).text == "Sent to 127.0.0.1."
    (request,) = receiver.requests
    assert request.body == '{"a":1,"subject":"Grüße"}'.encode()
    assert request.headers["idempotency-key"] == request.headers["webhook-id"] == "act_1"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert "webhook-signature" not in request.headers


def test_it_signs_with_the_secret(settings: Settings, receiver: Receiver) -> None:
    signed = settings.model_copy(update={"webhook_secret": SecretStr("s3cret")})
    webhook.send(signed, WORK)
    (request,) = receiver.requests
    timestamp = int(request.headers["webhook-timestamp"])
    expected = webhook.signature("s3cret", "act_1", timestamp, request.body)
    assert request.headers["webhook-signature"] == expected


def test_the_signature_is_the_published_one() -> None:
    """The example of the Standard Webhooks libraries' own tests."""
    made = webhook.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [500, 503, 429])
def test_it_tries_again_with_the_same_key(
    settings: Settings, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    webhook.send(settings, WORK)
    assert [request.headers["idempotency-key"] for request in receiver.requests] == ["act_1"] * 2


def test_a_refusal_is_not_repeated(settings: Settings, receiver: Receiver) -> None:
    receiver.answers = [400]
    with pytest.raises(ActionError, match="refused it with status 400"):
        webhook.send(settings, WORK)
    assert len(receiver.requests) == 1


def test_a_redirect_is_not_followed(settings: Settings, receiver: Receiver) -> None:
    receiver.answers = [302]
    with pytest.raises(ActionError, match="redirects elsewhere, which is not followed"):
        webhook.send(settings, WORK)
    assert len(receiver.requests) == 1


def test_silence_is_given_up(settings: Settings, receiver: Receiver) -> None:
    receiver.hangs = True
    quick = settings.model_copy(update={"webhook_timeout_s": 0.1})
    with pytest.raises(ActionError, match="did not answer in time, 4 times in a row") as caught:
        webhook.send(quick, WORK)
    assert len(receiver.requests) == webhook.ATTEMPTS
    assert "token-in-the-path" not in str(caught.value)


def test_nobody_listening_is_said_without_the_address(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"webhook_url": "http://127.0.0.1:9/token"})
    with pytest.raises(ActionError, match=r"at 127\.0\.0\.1 cannot be reached") as caught:
        webhook.send(nowhere, WORK)
    assert "token" not in str(caught.value) + caught.value.detail


def test_only_web_addresses_are_accepted_and_none_is_printed() -> None:
    with pytest.raises(ValidationError):
        Settings(webhook_url="file:///etc/passwd")
    assert "s3cret" not in repr(Settings(webhook_url="https://example.test/s3cret"))
