"""What is wrong in a TOML file that a person wrote, in words for them: pydantic's own are for programmers."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

TEXT, NUMBER = "string_type", "int_"
LISTS = ("tuple_type", "frozen_set_type")
TABLE = "model_type"


def first(error: ValidationError) -> tuple[tuple[int | str, ...], str]:
    """Where the first mistake is, and what it is: a piece of a sentence, without a full stop."""
    problem = error.errors(include_url=False)[0]
    return problem["loc"], _words(problem)


def named(place: tuple[int | str, ...]) -> str:
    """`file 2.match`, counted from one."""
    parts = [f" {part + 1}" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).lstrip(".")


def _words(problem: ErrorDetails) -> str:
    kind, bounds = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return "it is missing"
    if kind == "extra_forbidden":
        return "there is no such setting; look for a slip in its name"
    if kind == "literal_error":
        return f"it must be one of {bounds['expected'].replace(' or ', ', ')}"
    if kind == TEXT:
        return "it must be text in quotes"
    if kind.startswith("bool"):
        return "it must be true or false, without quotes"
    if kind.startswith(NUMBER):
        return "it must be a whole number, without quotes"
    if kind in LISTS:
        return 'it must be a list, such as ["one", "two"]'
    if kind == TABLE:
        return "it must be a table, with a heading in brackets of its own"
    if kind in ("string_too_short", "too_short"):
        return "it is empty"
    if kind.startswith("greater_than"):
        return f"it must be {next(iter(bounds.values()))} or more"
    if kind == "string_pattern_mismatch":
        return "this cannot be one: look for a space, a capital or a sign that does not belong"
    return problem["msg"].removeprefix("Value error, ")
