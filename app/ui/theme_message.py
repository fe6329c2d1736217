"""Streamlit builds the message of its theme from the configuration at every run of a page: 3-4 ms with six sections, a fifth of
the processor time of a chat. The configuration does not change while the server runs, so it is built once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlit.proto.NewSession_pb2 import CustomThemeConfig

Populate = Callable[..., None]


def remembering(populate: Populate) -> Populate:
    """`populate(message, section)` that fills in what the first call for the section filled in."""
    made: dict[str, CustomThemeConfig] = {}

    def populate_once(message: CustomThemeConfig, section: str = "theme") -> None:
        known = made.get(section)
        if known is None:
            fresh = type(message)()
            populate(fresh, section)
            known = made[section] = fresh
        if known.ByteSize():
            message.MergeFrom(known)

    return populate_once


def build_theme_once() -> None:
    """Takes the place of a private function of Streamlit 1.67; tests/ui/test_theme_message.py holds it to the original."""
    from streamlit.runtime import app_session

    app_session._populate_theme_msg = remembering(app_session._populate_theme_msg)
