"""A database row's properties as an HTML table (developers.notion.com, "Page properties").

Rollups and relations are left out: they tell of other pages, whose readers may be others.
"""

from __future__ import annotations

from html import escape

from connectors.notion.api import Json, text_of


def table(properties: Json) -> str:
    """Empty for a page that is in no database: its only property is its title."""
    rows = []
    for name, value in properties.items():
        said = _said(value) if isinstance(value, dict) and value.get("type") != "title" else ""
        if said:
            rows.append(f"<tr><th>{escape(str(name))}</th><td>{escape(said)}</td></tr>")
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _said(value: Json) -> str:
    kind = str(value.get("type"))
    told = value.get(kind)
    if kind == "rich_text":
        return text_of(told)
    if kind in {"select", "status"}:
        return _name(told)
    if kind in {"multi_select", "people", "files"}:
        return ", ".join(filter(None, map(_name, told))) if isinstance(told, list) else ""
    if kind == "date" and isinstance(told, dict):
        return " to ".join(str(told[end]) for end in ("start", "end") if told.get(end))
    if kind == "checkbox":
        return "yes" if told else "no"
    if kind in {"created_by", "last_edited_by"}:
        return _name(told)
    if kind == "formula" and isinstance(told, dict):
        return _plain(told.get(str(told.get("type"))))
    if kind == "unique_id" and isinstance(told, dict):
        return "-".join(str(told[k]) for k in ("prefix", "number") if told.get(k) is not None)
    if kind in {"number", "url", "email", "phone_number", "created_time", "last_edited_time"}:
        return _plain(told)
    return ""


def _name(told: object) -> str:
    return str(told.get("name") or "") if isinstance(told, dict) else ""


def _plain(told: object) -> str:
    return str(told) if isinstance(told, str | int | float) else ""
