"""What is wrong with a filled-in form, in words for whoever fills it in: pydantic's own are for programmers."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

MISSING = "missing"
"""In a field's `json_schema_extra`: what to do about it when it is empty or too short, in words of its own."""
NUMBER = ("int_", "float_", "decimal_", "finite_number")
BOUNDS = ("greater_than", "less_than")


def told(form: type[BaseModel], error: ValidationError) -> dict[str, str]:
    """Field name to what to do about it, a sentence; the first of several. What concerns no single field is under ""."""
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        found.setdefault(name, _words(problem, form.model_fields.get(name)))
    return found


def first(form: type[BaseModel], error: ValidationError) -> str:
    """The first thing that is wrong, after what people call its field: `Port: Type a number from 0 to 65,535.`"""
    name, words = next(iter(told(form, error).items()))
    field = form.model_fields.get(name)
    title = (field.title if field else None) or name.replace("_", " ").capitalize()
    return f"{title}: {words}" if title else words


def _words(problem: ErrorDetails, field: FieldInfo | None) -> str:
    kind, bounds, given = problem["type"], problem.get("ctx", {}), problem.get("input")
    if field is None:
        return "There is no such field." if kind == "extra_forbidden" else _own(problem)
    if get_origin(field.annotation) is Literal:
        return f"Choose one: {', '.join(str(one) for one in get_args(field.annotation))}."
    if kind.startswith((*NUMBER, *BOUNDS)) or (field.annotation in (int, float)):
        return _number(field)
    if kind.startswith("date"):
        return "Choose a date."
    if kind.startswith("bool"):
        return "Say yes or no."
    if kind == "string_too_long":
        longest = bounds["max_length"]
        return f"It has {len(str(given)):,} characters and {longest:,} fit: shorten it."
    if kind == "too_short":
        return "Fill in at least one."
    if kind in ("missing", "string_type", "path_type") or bounds.get("min_length") == 1:
        return _asked(field) or "Fill this in."
    if kind == "string_too_short":
        return _asked(field) or f"Type at least {bounds['min_length']} characters."
    if kind == "string_pattern_mismatch":
        return "This cannot be one: look for a space or a sign that does not belong."
    return _own(problem)


def _own(problem: ErrorDetails) -> str:
    """A check's own words as a sentence."""
    words = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."


def _number(field: FieldInfo) -> str:
    low, high = _bound(field, "ge", "gt"), _bound(field, "le", "lt")
    if low is not None and high is not None:
        return f"Type a number from {_plain(low)} to {_plain(high)}."
    if low is not None:
        return f"Type a number from {_plain(low)} on."
    return f"Type a number up to {_plain(high)}." if high is not None else "Type a number."


def _plain(bound: float) -> str:
    """`0.01`, `1,000,000`."""
    return f"{bound:,.6f}".rstrip("0").rstrip(".")


def _bound(field: FieldInfo, *names: str) -> float | None:
    found = (getattr(rule, name, None) for rule in field.metadata for name in names)
    return next((bound for bound in found if bound is not None), None)


def _asked(field: FieldInfo) -> str:
    extra: Any = field.json_schema_extra
    return str(extra.get(MISSING, "")) if isinstance(extra, dict) else ""
