"""A form made from a Pydantic model: one widget a field, its label, help and limits taken from the model.

Used for an action's parameters and a connector's settings, so that adding either needs no page.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import streamlit as st
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.actions.forms import HIDDEN
from app.ui.widgets.words import text

LONG_TEXT = 200
"""A text field that may be longer than this gets several lines."""


def fields(
    model: type[BaseModel],
    values: Mapping[str, Any],
    *,
    key: str,
    origins: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Draws every field and returns what stands in them, hidden ones as given. `origins` says in grey where a value came from."""
    entered: dict[str, Any] = {}
    for name in _own_first(model):
        field = model.model_fields[name]
        if field.json_schema_extra == HIDDEN:
            entered[name] = values.get(name, _default(field))
            continue
        entered[name] = _widget(f"{key}_{name}", name, field, values.get(name, _default(field)))
        origin = (origins or {}).get(name, "")
        if origin:
            st.html(f'<div class="sb-origin">{text(origin)}</div>')
        problem = (problems or {}).get(name, "")
        if problem:
            st.html(
                '<div class="sb-note" role="alert"><span class="sb-dot sb-red"></span>'
                f"<div>{text(problem)}</div></div>"
            )
    return entered


def standing(model: type[BaseModel], values: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """What stands in the fields before they are drawn, so that what is wrong can be said beside them."""
    return {
        name: st.session_state.get(f"{key}_{name}", values.get(name, _default(field)))
        for name, field in model.model_fields.items()
    }


def labelled(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Label to value of what somebody filled in, for others to read."""
    return {
        label_of(name, field): f"{value:,.2f}" if isinstance(value, float) else value
        for name, field in model.model_fields.items()
        if field.json_schema_extra != HIDDEN and (value := values.get(name, "")) is not None
    }


def _own_first(model: type[BaseModel]) -> list[str]:
    """What a model says itself comes before what it shares with others: an address before its data class."""
    own = model.__annotations__
    return sorted(model.model_fields, key=lambda name: name not in own)


def label_of(name: str, field: FieldInfo) -> str:
    return field.title or name.replace("_", " ").capitalize()


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value


def _widget(key: str, name: str, field: FieldInfo, value: Any) -> Any:
    kind = _plain(field.annotation)
    label, help_text = label_of(name, field), field.description
    options = _options(kind)
    if options is not None:
        index = options.index(value) if value in options else None
        return st.selectbox(label, options, index=index, key=key, help=help_text)
    if kind is bool:
        return st.toggle(label, value=bool(value), key=key, help=help_text)
    if kind in (int, float):
        return _number(key, label, field, kind, value)
    if kind is date:
        return st.date_input(label, value=value, key=key, help=help_text)
    if get_origin(kind) in (list, tuple, set, frozenset):
        lines = st.text_area(
            f"{label} (one a line)",
            value="\n".join(str(item) for item in value or ()),
            key=key,
            help=help_text,
            height=100,
        )
        return [line.strip() for line in (lines or "").splitlines() if line.strip()]
    return _text(key, label, field, kind, value)


def _text(key: str, label: str, field: FieldInfo, kind: Any, value: Any) -> str:
    longest = _limit(field, "max_length")
    shown = "" if value is None or kind is SecretStr else str(value)
    if kind is SecretStr:
        return st.text_input(label, type="password", key=key, help=field.description) or ""
    if kind is str and longest is not None and longest > LONG_TEXT:
        return (
            st.text_area(
                label,
                value=shown,
                key=key,
                max_chars=int(longest),
                help=field.description,
                height=150,
            )
            or ""
        )
    limit = int(longest) if longest is not None and kind is not Path else None
    return st.text_input(label, value=shown, key=key, max_chars=limit, help=field.description) or ""


def _number(key: str, label: str, field: FieldInfo, kind: Any, value: Any) -> Any:
    low = _limit(field, "ge") if _limit(field, "ge") is not None else _limit(field, "gt")
    high = _limit(field, "le") if _limit(field, "le") is not None else _limit(field, "lt")
    return st.number_input(
        label,
        value=None if value is None else kind(value),
        min_value=None if low is None else kind(low),
        max_value=None if high is None else kind(high),
        step=1 if kind is int else None,
        key=key,
        help=field.description,
    )


def _limit(field: FieldInfo, name: str) -> float | None:
    return next((getattr(m, name) for m in field.metadata if hasattr(m, name)), None)


def _plain(annotation: Any) -> Any:
    """`int | None` asks for an int; None is an empty field."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if kinds else str
    return annotation


def _options(kind: Any) -> list[Any] | None:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    return None
