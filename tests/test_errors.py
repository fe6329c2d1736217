"""The tree in the docstring of app.errors is the tree that the classes form."""

from __future__ import annotations

import inspect
import re

import pytest

from app import errors
from app.errors import RateLimited, SignInError, SwitchboardError


def drawn() -> dict[str, tuple[str, str]]:
    """Class name to its parent in the drawing and what the drawing says about it."""
    tree: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ((?:│   |    )*)(?:[├└]── )?([A-Z]\w+)(?:\s{2,}(.+))?$", line)
        if not found:
            continue
        stem, name, meaning = found.groups()
        depth = len(stem) // 4 + (1 if re.search("[├└]", line) else 0)
        path = [*path[:depth], name]
        tree[name] = (path[-2] if depth else "", meaning or "")
    return tree


def real() -> dict[str, type[SwitchboardError]]:
    return {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, SwitchboardError)
    }


def test_the_drawing_shows_every_class_under_its_real_parent() -> None:
    parents = {
        name: "" if kind is SwitchboardError else kind.__mro__[1].__name__
        for name, kind in real().items()
    }
    assert {name: parent for name, (parent, _) in drawn().items()} == parents


def test_every_drawn_class_says_what_it_means() -> None:
    assert [n for n, (parent, meaning) in drawn().items() if parent and not meaning] == []


@pytest.mark.parametrize("name", sorted(real()))
def test_every_error_speaks_to_the_person_and_names_the_way_out(name: str) -> None:
    kind = real()[name]
    extra: dict[str, object] = {}
    if issubclass(kind, RateLimited):
        extra = {"retry_after": 3.0}
    if issubclass(kind, SignInError):
        extra = {"reason": "state_mismatch"}
    error = kind("It broke.", **extra)
    assert error.message == "It broke."
    assert error.fix.endswith(".")
    assert str(error) == f"It broke. {error.fix}"
