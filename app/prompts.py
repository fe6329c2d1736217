"""Prompts are files: `prompts/<name>/v1.md`, numbered, and never changed once released (prompts/checksums.toml is the lock).

A file opens with TOML between `+++` lines: `description`, `variables` (exactly what `render` must be given), `roles` (the
sections in order, each under a heading `# system`, `# history`, `# user` or `# assistant`, so that a prompt can show example
exchanges) and `history` (how many earlier exchanges are sent). Sections are Jinja templates in a sandbox; Jinja2 belongs to
this module.

Two filters keep foreign text in its place: `data` takes the power from anything that looks like a passage's own tags, and
`line` makes a title one quoted line.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.domain import ChatMessage, Exchange, Prompt
from app.errors import PromptError

FOLDER = Path(__file__).parent.parent / "prompts"
CHECKSUMS = "checksums.toml"

_FILE = re.compile(r"\A\+\+\+\n(?P<front>.*?)\n\+\+\+\n(?P<body>.*)\Z", re.DOTALL)
_SECTION = re.compile(r"^# (system|history|user|assistant)$\n?", re.MULTILINE)
_TAG = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)
_CITATION = re.compile(r"\s?\[\d{1,2}\]")
_LINE_CHARS = 160

Role = Literal["system", "history", "user", "assistant"]


@dataclass(frozen=True)
class PromptVersion:
    """One file. `sha` is the SHA-256 of its text with LF line ends."""

    name: str
    version: str
    sha: str
    description: str
    variables: frozenset[str]
    history: int
    sections: tuple[tuple[Role, Template], ...]


class PromptLibrary:
    """Every prompt under a folder, parsed at first use; newest version wins unless the name pins one (`grounded@v1`)."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    @cached_property
    def versions(self) -> dict[str, tuple[PromptVersion, ...]]:
        """By name, oldest first. Raises PromptError for any file that cannot be used."""
        environment = _environment()
        found: dict[str, list[PromptVersion]] = {}
        for path in sorted(self._folder.glob("*/v*.md"), key=_number):
            found.setdefault(path.parent.name, []).append(_load(environment, path))
        if not found:
            raise PromptError(f"There are no prompts in {self._folder}.")
        return {name: tuple(versions) for name, versions in found.items()}

    def version(self, name: str) -> PromptVersion:
        """Raises PromptError when there is no such prompt or version."""
        plain, _, pinned = name.partition("@")
        versions = self.versions.get(plain, ())
        wanted = [v for v in versions if not pinned or v.version == pinned]
        if not wanted:
            raise PromptError(
                f"There is no prompt '{name}'.", fix="Correct its name in the routing table."
            )
        return wanted[-1]

    def render(self, name: str, /, **variables: Any) -> Prompt:
        """The messages for a model. Raises PromptError unless the variables are exactly the declared ones."""
        version = self.version(name)
        if variables.keys() != version.variables:
            wrong = sorted(variables.keys() ^ version.variables)
            raise PromptError(f"Prompt {name} got other variables than it declares: {wrong}.")
        messages: list[ChatMessage] = []
        for role, template in version.sections:
            if role == "history":
                messages += _history(variables["history"], version.history)
                continue
            try:
                text = template.render(variables).strip()
            except TemplateError as error:
                raise PromptError(
                    f"Prompt {name} cannot be rendered.", detail=str(error)
                ) from error
            messages.append(ChatMessage(role, text))
        return Prompt(tuple(messages), version.name, version.version, version.sha)

    def released(self) -> dict[str, dict[str, str]]:
        """The lock: prompt name to version to SHA-256."""
        with (self._folder / CHECKSUMS).open("rb") as file:
            return cast(dict[str, dict[str, str]], tomllib.load(file))


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False
    )
    environment.filters |= {"data": _data, "line": _line}
    return environment


def _data(text: str) -> str:
    """A passage's own text cannot close its passage or open another."""
    return _TAG.sub("‹", text)


def _line(text: str) -> str:
    return _data(" ".join(text.split()))[:_LINE_CHARS].replace('"', "'")


def _history(exchanges: Sequence[Exchange], limit: int) -> Iterator[ChatMessage]:
    """Citations of earlier answers point at passages that are not sent again, so their numbers go."""
    for exchange in exchanges[-limit:] if limit else ():
        yield ChatMessage("user", exchange.question)
        yield ChatMessage("assistant", _CITATION.sub("", exchange.answer))


def _number(path: Path) -> tuple[str, int]:
    digits = path.stem.removeprefix("v")
    if not digits.isdecimal():
        raise PromptError(f"{path.parent.name}/{path.name} is no version such as v1.md.")
    return path.parent.name, int(digits)


def _load(environment: ImmutableSandboxedEnvironment, path: Path) -> PromptVersion:
    where = f"{path.parent.name}/{path.name}"
    text = path.read_text(encoding="utf-8")
    match = _FILE.match(text.replace("\r\n", "\n"))
    if match is None:
        raise PromptError(f"{where} does not open with front matter between +++ lines.")
    try:
        front = tomllib.loads(match["front"])
        variables = frozenset[str](front["variables"])
        sections = tuple(_sections(environment, match["body"], variables, where))
        if [role for role, _ in sections] != front["roles"]:
            raise PromptError(f"{where} has other sections than the roles it declares.")
        return PromptVersion(
            name=path.parent.name,
            version=path.stem,
            sha=fingerprint(text),
            description=str(front["description"]),
            variables=variables,
            history=int(front.get("history", 0)),
            sections=sections,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, TemplateError) as error:
        raise PromptError(f"{where} cannot be read.", detail=repr(error)) from error


def _sections(
    environment: ImmutableSandboxedEnvironment, body: str, variables: frozenset[str], where: str
) -> Iterator[tuple[Role, Template]]:
    parts = _SECTION.split(body)[1:]
    for role, source in zip(parts[::2], parts[1::2], strict=True):
        used = meta.find_undeclared_variables(environment.parse(source))
        if role == "history":
            used = used | {"history"}
        if undeclared := used - variables:
            raise PromptError(f"{where} uses what it does not declare: {sorted(undeclared)}.")
        yield cast(Role, role), environment.from_string(source)
