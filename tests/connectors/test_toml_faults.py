"""Mistakes in TOML that people write are told in their words, whatever the mistake."""

from __future__ import annotations

import re

import pytest

from connectors.folder.access import AccessFile, Broken, FileRule, Rule, parse_access
from connectors.sql.kinds import Kind, parse_kinds

OF_A_LIBRARY = re.compile(
    r"Input should|Field required|not permitted|valid (string|integer|boolean)|pydantic|Value error|type="
)
NONSENSE = ("7", "-7", "true", '""', '" "', '"no such thing"', "[]", "[7]", "{}", "1979-05-27", "[[7]]")  # fmt: skip
ROOM = {"name": '"notes"', "query": '"SELECT * FROM note"', "id": '"id"', "content": '"body"', "readers": '"readers"'}  # fmt: skip


def kind(**settings: str) -> str:
    return "[[kind]]\n" + "\n".join(f"{name} = {value}" for name, value in settings.items())


@pytest.mark.parametrize("name", [*Kind.model_fields, "cursr"])
def test_nonsense_in_a_kind_is_told_in_words(name: str) -> None:
    told = []
    for value in NONSENSE:
        try:
            parse_kinds(kind(**ROOM | {name: value}))
        except ValueError as error:
            told.append(str(error))
    assert told
    for words in told:
        assert not OF_A_LIBRARY.search(words), words
        assert f", {name}" in words or name in words, words


@pytest.mark.parametrize("name", [*Rule.model_fields, "grups"])
@pytest.mark.parametrize("table", ["access", "file"])
def test_nonsense_in_an_access_file_is_told_in_words(table: str, name: str) -> None:
    told = []
    for value in NONSENSE:
        head = "[access]" if table == "access" else '[[file]]\nmatch = "*"'
        found = parse_access(f"{head}\n{name} = {value}\n".encode(), "access.toml")
        if isinstance(found, Broken):
            told.append(found.cause)
    assert told
    for words in told:
        assert not OF_A_LIBRARY.search(words), words
        assert name in words, words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("access = 7", "'access' is wrong: it must be a table"),
        ("file = 7", "'file' is wrong: it must be a list"),
        ("[[file]]\neveryone = true", "'file 1.match' is wrong: it is missing."),
        ('[[file]]\nmatch = ""', "'file 1.match' is wrong: it is empty."),
        ('[access]\neveryone = "maybe"', "'access.everyone' is wrong: it must be true or false"),
        ('[access]\ngroups = "hr"', "'access.groups' is wrong: it must be a list"),
        ('[access]\ndata_class = "secret"', "must be one of 'public', 'internal', 'confidential', 'restricted'."),
        ('[access]\nusers = ["ada at example"]', "'access.users 1' is wrong: this cannot be one"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_access_file_says_where_and_what(text: str, told: str) -> None:
    found = parse_access(text.encode(), "access.toml")
    assert isinstance(found, Broken)
    assert told in found.cause


def test_every_table_of_an_access_file_is_tried() -> None:
    assert set(AccessFile.model_fields) == {"access", "file"}
    assert set(FileRule.model_fields) == {*Rule.model_fields, "match"}
