"""The shape of the house: each outside library has one owner, and only settings.py reads the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWNERS = {
    "streamlit": ("app/ui/", "app/server.py"),
    "altair": ("app/ui/",),
    "openai": ("app/llm/",),
    "anthropic": ("app/llm/",),
    "xllamacpp": ("app/llm/",),
    "genai_prices": ("app/routing/",),
    "qdrant_client": ("app/knowledge/index/",),
    "qdrant_edge": ("app/knowledge/index/",),
    "llama_index": ("app/knowledge/ingest/", "connectors/llama_reader/"),
    "onnxruntime": ("app/knowledge/embed.py",),
    "tokenizers": ("app/knowledge/embed.py",),
    "pypdf": ("app/knowledge/ingest/",),
    "docx": ("app/knowledge/ingest/",),
    "trafilatura": ("app/knowledge/ingest/",),
    "authlib": ("app/identity/",),
    "joserfc": ("app/identity/",),
    "cedarpy": ("app/access/",),
    "dbos": ("app/durable/work.py",),
    "alembic": ("app/db/",),
    "prometheus_client": ("app/api/",),
}


def sources() -> list[Path]:
    return [
        path
        for folder in ("app", "connectors")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations/versions" not in path.as_posix()
    ]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_an_outside_library_is_imported_by_its_owner_only(library: str) -> None:
    strangers = [
        name
        for path in sources()
        if not (name := path.relative_to(ROOT).as_posix()).startswith(OWNERS[library])
        and any(module.split(".")[0] == library for module in imported(path))
    ]
    assert strangers == []


def test_only_settings_reads_the_environment() -> None:
    readers = [
        path.relative_to(ROOT).as_posix()
        for path in sources()
        if any(
            isinstance(node, ast.Attribute)
            and node.attr in {"environ", "getenv"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    # A connector knows no settings of the app: where the user keeps caches is the system's convention.
    assert readers == ["connectors/git/clone.py"]


def test_no_error_is_swallowed_and_no_bare_exception_is_raised() -> None:
    wrong = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            silent = isinstance(node, ast.ExceptHandler) and all(
                isinstance(step, ast.Pass) for step in node.body
            )
            broad = silent and (node.type is None or ast.unparse(node.type) == "Exception")
            bare = isinstance(node, ast.Raise) and node.exc is not None
            if broad or (bare and ast.unparse(node.exc).startswith("Exception(")):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


@pytest.mark.parametrize("forbidden", ["utils", "helpers", "manager", "base"])
def test_no_module_is_named_for_nothing(forbidden: str) -> None:
    assert [p for p in sources() if p.stem == forbidden or p.parent.name == forbidden] == []
