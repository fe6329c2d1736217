"""The README says what is there: every setting, every command, every file it points to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.__main__ import parser
from app.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BETWEEN = re.compile(r"(<!-- settings -->\n)(.*?)(<!-- /settings -->)", re.S)


def settings_table() -> str:
    """What stands between the two marks; `python -m tests.test_readme` writes it."""
    lines = ["| variable | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"SWITCHBOARD_{name.upper()}"
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = (
            "" if "Secret" in type(default).__name__ or default in ("", (), {}, None) else default
        )
        shown = f"`{shown}`" if shown != "" else ""
        lines.append(f"| `{variable}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def test_every_setting_is_listed_with_its_default_and_meaning() -> None:
    found = BETWEEN.search(README)
    assert found is not None
    assert found[2] == settings_table()


def test_every_setting_is_described() -> None:
    assert [n for n, f in Settings.model_fields.items() if not f.description] == []


def test_every_command_is_listed_and_parses() -> None:
    shown = re.findall(r"^\| `python -m app ([^`]*)` \|", README, re.M)
    names = {line.split()[0] for line in shown}
    actions = [a for a in parser()._actions if a.choices]
    assert names == set(actions[0].choices or ())
    for line in shown:
        parser().parse_args(line.split())


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_file_that_is_linked_exists(target: str) -> None:
    assert (ROOT / target).exists()


if __name__ == "__main__":
    table = settings_table()
    (ROOT / "README.md").write_text(BETWEEN.sub(lambda m: m[1] + table + m[3], README))
