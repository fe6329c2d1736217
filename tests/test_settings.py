"""A wrong setting is named with its cause, and its value stays out of the message."""

from __future__ import annotations

import pytest

from app.errors import ConfigurationError
from app.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SWITCHBOARD_PORT", "a8501"),
        ("SWITCHBOARD_SESSION_HOURS", "0"),
        ("SWITCHBOARD_OIDC_ROLE_GROUPS", "admins=admin"),
        ("SWITCHBOARD_LOG_LEVEL", "LOUD"),
        ("SWITCHBOARD_TIME_ZONE", "Mars/Olympus"),
        ("SWITCHBOARD_COMPATIBLE_CLEARANCE", "topmost"),
    ],
)
def test_a_wrong_setting_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert variable in caught.value.message
    assert value not in str(caught.value)


def test_models_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_COMPATIBLE_MODELS", " qwen3:8b, ,llama ")
    assert Settings().compatible_models == ("qwen3:8b", "llama")


def test_keys_are_read_under_the_names_their_sdks_use_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-two")
    settings = Settings()
    assert settings.openai_api_key.get_secret_value() == "sk-one"
    assert "sk-" not in repr(settings)
