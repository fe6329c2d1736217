"""Separate checks of a hosted model, for the admin who looks after it: address, key, model, answer.

A later check never blames what an earlier one found: a network fault is not a bad key. What the provider's list cannot tell is
told by a small real request, which is sent to whatever could be reached.
"""

from __future__ import annotations

import difflib
import time
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from app.domain import ChatMessage, ModelCall, Prompt, TextDelta
from app.errors import (
    ContextTooLong,
    ModelCredential,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelRequestError,
    NoCredit,
)
from app.llm import transport, verdicts
from app.llm.deadline import with_deadlines
from app.llm.model import ChatModel
from app.llm.reach import Directory, Looked, why_not

ADDRESS, KEY, KNOWN, ANSWERS = "Address reachable", "Key accepted", "Model known", "Answers"
FIRST_WORD_S, SILENCE_S, ENOUGH_S = 20.0, 10.0, 10.0
NAMES_SHOWN = 5

_SMALL = Prompt(
    (ChatMessage("user", "Count from one to ten, in words and without remarks."),),
    "check",
    "v2",
    "",
)
_SMALL_TOKENS = 1_000  # a model that thinks aloud needs them; others stop after ten words


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNTOLD = "could not be told"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was checked, how it went, why, and what the admin can do."""

    name: str
    outcome: Outcome
    cause: str
    fix: str = ""

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True, slots=True)
class Examination:
    """`error` is what became of the small request, None when it was answered."""

    checks: tuple[Check, ...]
    error: ModelError | None = None

    @property
    def answers(self) -> bool:
        return self.checks[-1].passed


@runtime_checkable
class Hosted(Protocol):
    """What an adapter of a provider offers beyond ChatModel."""

    @property
    def model_name(self) -> str: ...

    @property
    def directory(self) -> Directory: ...


@dataclass
class _Said:
    """The small request: how soon the first and the last words came, in seconds, and in how many pieces."""

    first_s: float = 0.0
    last_s: float = 0.0
    pieces: int = 0
    error: ModelError | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the provider's list says: `one` to the question for this model, `every` to that for all."""

    one: Looked
    every: Looked

    @property
    def told(self) -> bool:
        return self.one.told or self.every.told

    def lists(self, name: str) -> bool | None:
        """Whether it names the model; None where there is no list. A provider may answer for an alias with another id."""
        if not self.told:
            return None
        return bool(self.one.id) or name in (*(self.one.names or ()), *(self.every.names or ()))


async def examine(model: ChatModel) -> Examination:
    """Raises nothing that a model or a network does. One that is not hosted has no address, key or list: it answers or not."""
    if not isinstance(model, Hosted):
        return await _in_process(model)
    directory = model.directory
    try:
        one = await directory.one(model.model_name)
    except Exception as error:
        return _unreached(error, directory)
    seen = _Seen(one, one if one.told else await _list(directory))
    said = await _ask(model)
    reached = Check(ADDRESS, Outcome.PASSED, f"{directory.place} answers.")
    key = await _key(directory, seen, said)
    if key.outcome is Outcome.FAILED:
        rest = _not_told((KNOWN, ANSWERS), "The key was not accepted.")
        return Examination((reached, key, *rest), said.error)
    known = _known(model.model_name, seen, said)
    if known.outcome is Outcome.FAILED:
        rest = _not_told((ANSWERS,), "There is no such model to ask.")
        return Examination((reached, key, known, *rest), said.error)
    return Examination((reached, key, known, _answers(said)), said.error)


async def _list(directory: Directory) -> Looked:
    """A server that has just answered and now does not has no list that could be relied on."""
    try:
        return await directory.all()
    except Exception:
        return Looked(0)


async def _in_process(model: ChatModel) -> Examination:
    began = time.monotonic()
    try:
        await model.check()
    except ModelError as error:
        return Examination((Check(ANSWERS, Outcome.FAILED, error.message, error.detail),), error)
    took = _seconds(time.monotonic() - began)
    return Examination(
        (Check(ANSWERS, Outcome.PASSED, f"It runs in this process and answered after {took}."),)
    )


def _unreached(error: Exception, directory: Directory) -> Examination:
    cause, fix = why_not(error, directory.place)
    failed = Check(ADDRESS, Outcome.FAILED, cause, fix)
    rest = _not_told((KEY, KNOWN, ANSWERS), "The address was not reached.")
    return Examination((failed, *rest), transport.translate(directory.place, error))


def _not_told(names: tuple[str, ...], why: str) -> tuple[Check, ...]:
    return tuple(Check(name, Outcome.UNTOLD, why) for name in names)


async def _ask(model: ChatModel) -> _Said:
    said, began = _Said(), time.monotonic()
    chunks = with_deadlines(
        model.stream(ModelCall(_SMALL, "", max_tokens=_SMALL_TOKENS)),
        label=model.label,
        first_token_s=FIRST_WORD_S,
        silence_s=SILENCE_S,
    )
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                said.last_s = time.monotonic() - began
                if isinstance(chunk, TextDelta):
                    said.first_s = said.first_s or said.last_s
                    said.pieces += 1
                    if said.last_s - said.first_s > ENOUGH_S:
                        break
    except ModelError as error:
        said.error = error
    return said


async def _key(directory: Directory, seen: _Seen, said: _Said) -> Check:
    error = said.error
    if error is None:
        told = "It was accepted." if directory.key else "None was given, and none is wanted."
        return Check(KEY, Outcome.PASSED, told)
    if isinstance(error, NoCredit):
        return Check(KEY, Outcome.PASSED, "The provider knows the account behind it.")
    if isinstance(error, ModelCredential):
        return _refused(directory, error.status)
    if said.pieces or isinstance(error, ModelRefused | ContextTooLong):
        return Check(KEY, Outcome.PASSED, "The provider worked on a request with it.")
    if seen.every.status == 401:
        return _refused(directory, 401)
    if seen.told:
        return await _by_list(directory)
    why = "Neither a list nor the small request got as far as the key."
    return Check(KEY, Outcome.UNTOLD, why)


def _refused(directory: Directory, status: int | None) -> Check:
    if not directory.key:
        return Check(
            KEY, Outcome.FAILED, "A key is wanted, and none was given.", "Add one under Key."
        )
    if status == 403:
        return Check(
            KEY,
            Outcome.FAILED,
            "The provider knows it, but it has no right to this model (403).",
            "Give it that right at the provider, or use another key.",
        )
    return Check(
        KEY,
        Outcome.FAILED,
        "The provider refused it (401).",
        "Replace it, and check that it belongs to this provider and address.",
    )


async def _by_list(directory: Directory) -> Check:
    """The list was given: if only for the key's sake, the key is good."""
    try:
        without = await directory.all(with_key=False)
    except Exception as error:
        return Check(KEY, Outcome.UNTOLD, why_not(error, directory.place)[0])
    if directory.key and without.status in (401, 403):
        return Check(KEY, Outcome.PASSED, "It opens the provider's list of models.")
    return Check(
        KEY, Outcome.UNTOLD, "The list is open to everybody, so only an answer could tell."
    )


def _known(name: str, seen: _Seen, said: _Said) -> Check:
    listed = seen.lists(name)
    if listed:
        return Check(KNOWN, Outcome.PASSED, "The provider lists it.")
    error = said.error
    if error is None or said.pieces:
        where = "The provider has no list" if listed is None else "It is not in the provider's list"
        return Check(KNOWN, Outcome.PASSED, f"{where}, but it answered.")
    if listed is False:
        names = seen.every.names or seen.one.names or ()
        return Check(KNOWN, Outcome.FAILED, _missing(name, names), "Correct the model id.")
    if isinstance(error, ModelRequestError) and error.status == 404:
        return Check(
            KNOWN,
            Outcome.FAILED,
            f"Nothing at this address answers to {name} (404).",
            f"Correct the model id. {verdicts.PATH}",
        )
    why = "The provider has no list, and the small request was not answered."
    return Check(KNOWN, Outcome.UNTOLD, why)


def _missing(name: str, names: tuple[str, ...]) -> str:
    if not names:
        return f"The provider's list is empty: it does not serve {name}."
    near = difflib.get_close_matches(name, names, NAMES_SHOWN, 0.3) or sorted(names)[:NAMES_SHOWN]
    shown = ", ".join(one[:80] for one in near)
    rest = f" and {len(names) - len(near):,} more" if len(names) > len(near) else ""
    return f"The provider's list does not name {name}. It names {shown}{rest}."


def _answers(said: _Said) -> Check:
    if said.error is not None:
        limited = isinstance(said.error, ModelRateLimited)
        return Check(
            ANSWERS, Outcome.UNTOLD if limited else Outcome.FAILED, *verdicts.answering(said.error)
        )
    if said.pieces > 1:
        return Check(
            ANSWERS,
            Outcome.PASSED,
            f"First words after {_seconds(said.first_s)}; {said.pieces} pieces within "
            f"{_seconds(said.last_s)}.",
        )
    return Check(
        ANSWERS,
        Outcome.PASSED,
        f"All of it came at once after {_seconds(said.first_s)}, too soon to see it stream.",
        "If answers appear as a whole in chats too, look for a proxy that holds them back.",
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
