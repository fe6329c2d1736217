"""Our errors from outside: the right status, OpenAI's shape, when to come back, and nothing of the inside."""

from __future__ import annotations

import inspect
import json

import pytest

from app import errors
from app.api.errors import error_response, failed_shape, shape_of
from app.domain import DataClass, Failed, Receipt, Usage
from app.errors import NoModel, NotSignedIn, RateLimited, SwitchboardError

EXPECTED = {
    "NotSignedIn": 401,
    "RateLimited": 429,
    "Denied": 403,
    "Withheld": 404,
    "NotFound": 404,
    "TooLarge": 413,
    "InputError": 400,
    "ContextTooLong": 400,
    "ModelRefused": 400,
    "ModelError": 503,
    "ModelUnavailable": 503,
    "NotCleared": 503,
    "ModelTimeout": 503,
    "ModelRateLimited": 503,
    "ModelBusy": 503,
    "ModelCredential": 503,
    "NoCredit": 503,
    "ModelRequestError": 503,
    "NoModel": 503,
    "OverBudget": 429,
    "BudgetUsedUp": 429,
    "IndexUnavailable": 503,
}


def receipt() -> Receipt:
    return Receipt(
        "turn_1", None, None, "", (), "", "", "", (), (), 0, DataClass.PUBLIC, Usage(), 0.0, ()
    )


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, SwitchboardError)
    ),
)
def test_every_error_has_its_status(name: str) -> None:
    status = EXPECTED.get(name, 500)
    assert shape_of(getattr(errors, name)).status == status
    assert failed_shape(Failed("", "", "", receipt(), name)).status == status


def test_a_failure_of_unknown_kind_is_ours() -> None:
    for kind in ("", "Exception", "annotations", "__doc__"):
        assert failed_shape(Failed("", "", "", receipt(), kind)).status == 500


def test_the_shape_is_openais() -> None:
    response = error_response(NotSignedIn("No key was sent."))
    assert json.loads(bytes(response.body)) == {
        "error": {
            "message": "No key was sent. Sign in again.",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_the_detail_for_the_log_stays_inside() -> None:
    error = errors.ModelUnavailable("It broke.", detail="10.0.0.7 said sk-123")
    assert b"sk-123" not in bytes(error_response(error).body)


def test_clients_are_told_when_to_come_back() -> None:
    limited = error_response(RateLimited("Too often.", retry_after=12.3))
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "13")
    assert int(error_response(NoModel("None.")).headers["retry-after"]) > 0
