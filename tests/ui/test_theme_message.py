"""The remembered theme is the one that Streamlit would build, each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit import config
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

from app.ui.theme_message import remembering

SECTIONS = ("theme", "theme.light", "theme.dark", "theme.sidebar", "theme.light.sidebar")


@pytest.fixture(autouse=True)
def _own_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent.parent)
    config.get_config_options(force_reparse=True)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_the_same_message_first_and_later(section: str) -> None:
    original = CustomThemeConfig()
    app_session._populate_theme_msg(original, section)
    populate = remembering(app_session._populate_theme_msg)
    for _ in range(3):
        message = CustomThemeConfig()
        populate(message, section)
        assert message == original
    if section == "theme.light":
        assert original.primary_color


def test_an_empty_section_stays_unset() -> None:
    whole = CustomThemeConfig()
    remembering(lambda _message, _section: None)(whole.dark.sidebar, "theme.none")
    assert not whole.HasField("dark")
