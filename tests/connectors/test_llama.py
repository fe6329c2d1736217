"""The LlamaIndex bridge with readers of llama-index-core, and with readers as another company would write them (below)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document as LlamaDocument
from pydantic import SecretStr, ValidationError

from connectors.contract import (
    Access,
    AccessChange,
    Change,
    Checkpoint,
    Connector,
    Context,
    Document,
    Failure,
    Outcome,
    SourceFault,
)
from connectors.llama_reader import LlamaReader
from connectors.llama_reader.settings import LlamaSecrets, LlamaSettings
from connectors.suite import ConnectorContract, listing

SECRET = "never-shown-4711"
STAFF = Access(known=True, groups=frozenset({"staff"}), company_groups=True)
CORE = "llama_index.core"


class NotesReader(BaseReader):
    """Rows of a JSON file, handed over one by one."""

    def __init__(self, file: str, token: str = "") -> None:
        self.file, self.token = file, token

    def lazy_load_data(self, *args: Any, **load_kwargs: Any) -> Iterable[LlamaDocument]:
        del args
        for row in json.loads(Path(self.file).read_text()):
            if row.get("fault"):
                raise ConnectionError(f"refused with {self.token}")
            if row.get("space") == load_kwargs.get("space"):
                yield LlamaDocument(text=row.get("text", ""), metadata=row.get("meta", {}))


class DemandingReader(BaseReader):
    def __init__(self, token: str) -> None:
        raise PermissionError(f"the token {token} is not accepted")


class OddReader(BaseReader):
    """Hands over what is no document, too."""

    def load_data(self, *args: Any, **load_kwargs: Any) -> list[Any]:
        del args, load_kwargs
        return [LlamaDocument(text="Good.", id_="good"), None, "a string", Lazy()]


class Lazy:
    id_ = "lazy"

    @property
    def text(self) -> str:
        raise OSError("gone")


def bridge(reader: str, context: Context | None = None, **more: Any) -> LlamaReader:
    secret = more.pop("secret", "")
    values = {"reader": reader, "groups": ["staff"], **more}
    secrets = LlamaSecrets(arguments=SecretStr(secret))
    return LlamaReader(LlamaSettings.model_validate(values), secrets, context)


def own(name: str, **more: Any) -> LlamaReader:
    return bridge(f"{__name__}:{name}", **more)


def failures(changes: list[Change]) -> list[Failure]:
    return [change for change in changes if isinstance(change, Failure)]


@pytest.fixture
def notes(tmp_path: Path) -> Callable[..., LlamaReader]:
    """Writes the rows, and gives a connector to them."""
    file = tmp_path / "notes.json"

    def write(*rows: dict[str, Any], **more: Any) -> LlamaReader:
        file.write_text(json.dumps(rows))
        arguments = f"file = {json.dumps(str(file))}"
        return own("NotesReader", **{"arguments": arguments, "id_field": "key", **more})

    return write


def note(key: str, text: str = "Text.", **meta: Any) -> dict[str, Any]:
    return {"text": text, "meta": {"key": key, **meta}}


class TestContractWithOwnReader(ConnectorContract):
    @pytest.fixture
    def connector(self, notes: Callable[..., LlamaReader]) -> Connector:
        return notes(note("a"), note("b"), note("c"))

    @pytest.fixture
    def broken_connector(self, notes: Callable[..., LlamaReader]) -> Connector:
        return notes({"fault": True})

    @pytest.fixture
    def changed_connector(self, notes: Callable[..., LlamaReader]) -> Callable[[], Connector]:
        return lambda: notes(note("a"), note("b", "Changed."), note("d"))


class TestContractWithFolderReader(ConnectorContract):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "files"
        folder.mkdir()
        for name in ("a.txt", "b.txt", "c.txt"):
            (folder / name).write_text(f"The file {name}.")
        return folder

    @pytest.fixture
    def connector(self, folder: Path) -> Connector:
        arguments = f'input_dir = "{folder}"\nrecursive = true\nraise_on_error = true'
        reader = f"{CORE}:SimpleDirectoryReader"
        return bridge(reader, arguments=arguments, id_field="file_path")

    @pytest.fixture
    def broken_connector(self, tmp_path: Path) -> Connector:
        return bridge(f"{CORE}:SimpleDirectoryReader", arguments=f'input_dir = "{tmp_path}/none"')

    @pytest.fixture
    def changed_connector(self, folder: Path, connector: Connector) -> Callable[[], Connector]:
        def change() -> Connector:
            (folder / "a.txt").write_text("Changed.")
            (folder / "b.txt").unlink()
            (folder / "d.txt").write_text("New.")
            return connector

        return change


# --- Readers ------------------------------------------------------------------------------------------------------------


def test_nothing_is_loaded_before_readers_are_stated(notes: Callable[..., LlamaReader]) -> None:
    connector = notes(note("a"), groups=[])
    content, permissions = connector.validate()
    assert (content.outcome, permissions.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert "no readers are stated" in permissions.message
    for work in (lambda: listing(connector), lambda: list(connector.access({}))):
        with pytest.raises(SourceFault, match="no readers are stated") as fault:
            work()
        assert "State who may read" in fault.value.fix


def test_documents_have_the_stated_readers(notes: Callable[..., LlamaReader]) -> None:
    (document,) = listing(notes(note("a"), data_class="confidential")).documents.values()
    assert (document.access, document.data_class) == (STAFF, "confidential")
    (document,) = listing(notes(note("a"), groups=[], everyone=True)).documents.values()
    assert document.access.everyone


def test_readers_are_confirmed_without_loading_until_they_change(
    notes: Callable[..., LlamaReader],
) -> None:
    *_, last = notes(note("a")).access({})
    assert isinstance(last, Checkpoint)
    assert list(notes({"fault": True}).access(last.state)) == [last]
    told = list(notes(note("a"), groups=["hr"]).access(last.state))
    assert [c.access.groups for c in told if isinstance(c, AccessChange)] == [frozenset({"hr"})]


# --- What is loaded -----------------------------------------------------------------------------------------------------


def test_strings_without_names_are_known_by_their_text() -> None:
    reader = f"{CORE}.readers:StringIterableReader"
    connector = bridge(reader, load_arguments='texts = ["# Lunch\\nAt noon.", "Pay", "Pay"]')
    first, second = listing(connector), listing(connector)
    assert first.documents == second.documents
    assert [d.title for d in first.documents.values()] == ["Lunch", "Pay"]
    assert "no lasting ids" in connector.validate()[0].message


def test_the_json_reader(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"name": "Ada"}\n{"name": "Bob"}\n')
    connector = bridge(
        f"{CORE}.readers.json:JSONReader",
        arguments="is_jsonl = true",
        load_arguments=f'input_file = "{file}"',
    )
    texts = {d.content for d in listing(connector).documents.values()}
    assert texts == {b'"name": "Ada"', b'"name": "Bob"'}


def test_parts_that_follow_each_other_are_one_and_an_id_that_comes_again_fails(
    notes: Callable[..., LlamaReader],
) -> None:
    found = listing(notes(note("a", "One."), note("a", "Two."), note("b"), note("a", "Three.")))
    assert found.documents["a"].content == b"One.\n\nTwo."
    (failure,) = failures(found.changes)
    assert (failure.id, "came before" in failure.cause) == ("a#4", True)


def test_fields_of_the_metadata(notes: Callable[..., LlamaReader]) -> None:
    rows = [
        note("a", at=7, head="Pay", u="https://x.test/1"),
        note("b", u="javascript:alert(1)"),
    ]
    fields = {"version_field": "at", "title_field": "head", "link_field": "u"}
    documents = listing(notes(*rows, **fields)).documents
    first, second = documents["a"], documents["b"]
    assert (first.version, first.title, first.url) == ("7", "Pay", "https://x.test/1")
    assert (len(second.version), second.url) == (32, "")


def test_load_arguments_reach_the_reader(notes: Callable[..., LlamaReader]) -> None:
    rows = [{**note("a"), "space": "hr"}, note("b")]
    found = listing(notes(*rows, load_arguments='space = "hr"'))
    assert found.documents.keys() == {"a"}


def test_one_broken_document_fails_alone(notes: Callable[..., LlamaReader]) -> None:
    found = listing(notes({"text": "x", "meta": {"other": 1}}, note("empty", " "), note("good")))
    assert found.documents.keys() == {"good"}
    first, second = failures(found.changes)
    assert ("no 'key'" in first.cause, "other" in first.fix) == (True, True)
    assert second.cause == "It has no text."
    assert found.checkpoints[-1].complete


def test_what_is_no_document_fails_alone() -> None:
    found = listing(own("OddReader"))
    assert found.documents.keys() == {"good"}
    assert len(failures(found.changes)) == 3


# --- Faults -------------------------------------------------------------------------------------------------------------


def test_a_reader_that_breaks_off_claims_nothing_and_hides_its_secret(
    notes: Callable[..., LlamaReader],
) -> None:
    connector = notes(note("a"), {"fault": True}, secret=f'{{ token = "{SECRET}" }}')
    sent: list[Change] = []
    with pytest.raises(SourceFault, match="broke off") as fault:
        sent.extend(connector.changes({}, {}))
    assert fault.value.passing
    assert "•••" in fault.value.message
    assert SECRET not in fault.value.message
    assert not any(isinstance(change, Checkpoint) for change in sent)


def test_a_reader_that_refuses_its_arguments_says_so_without_the_secret() -> None:
    check, _ = own("DemandingReader", secret=f'{{ token = "{SECRET}" }}').validate()
    assert check.outcome is Outcome.INDETERMINATE
    assert "PermissionError: the token ••• is not accepted" in check.message
    check, _ = own("DemandingReader", arguments="colour = 1").validate()
    assert (check.outcome, "colour" in check.message) == (Outcome.FAILED, True)


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("no_such_package.readers:Reader", "no module 'no_such_package'"),
        (f"{CORE}:NoSuchReader", "has no 'NoSuchReader'"),
        ("subprocess:Popen", "'Popen' is no LlamaIndex reader"),
        ("os:getcwd", "'getcwd' is no LlamaIndex reader"),
    ],
)
def test_only_readers_are_run(reader: str, words: str) -> None:
    connector = bridge(reader)
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert words in fault.value.message
    assert fault.value.fix
    assert connector.validate()[0].outcome is Outcome.FAILED


def test_a_cancel_between_documents_ends_it(notes: Callable[..., LlamaReader]) -> None:
    connector = notes(note("a"), note("b"), note("c"))
    answers = iter([False, False])
    connector.context = Context(cancelled=lambda: next(answers, True))
    changes = list(connector.changes({}, {}))
    assert [type(change) for change in changes] == [Document]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"reader": "os.system"}, "package.module:Class"),
        ({"reader": "a:B", "arguments": "x = "}, "TOML"),
        ({"reader": "a:B", "users": ["ada"]}, "e-mail"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LlamaSettings.model_validate(values)
    with pytest.raises(ValidationError) as error:
        LlamaSecrets(arguments=SecretStr(f"token {SECRET}"))
    assert SECRET not in str(error.value)
