"""Options that read the same are told apart, and the others left as they are."""

from __future__ import annotations

from app.ui.widgets.choices import shortened, told_apart


def test_only_what_several_share_is_marked() -> None:
    labels = {"a": "Assist", "b": "Assist", "c": "Other"}
    assert told_apart(labels) == {"a": "Assist (a)", "b": "Assist (b)", "c": "Other"}


def test_what_is_the_same_even_then_is_numbered() -> None:
    labels = {1: "Assist", 2: "Assist", 3: "Assist (x)", 4: "Assist"}
    found = told_apart(labels, lambda _key: "x")
    assert found == {1: "Assist (x)", 2: "Assist (x) #2", 3: "Assist (x) #3", 4: "Assist (x) #4"}
    assert len(set(found.values())) == len(labels)


def test_short_names_keep_what_makes_them_differ() -> None:
    labels = {
        "r": "Reader (local, quotes)",
        "eu": "Assist (EU)",
        "us": "Assist (US)",
        "x": "Assist (US)",
    }
    assert shortened(labels) == {
        "r": "Reader",
        "eu": "Assist (EU)",
        "us": "Assist (US) (us)",
        "x": "Assist (US) (x)",
    }
