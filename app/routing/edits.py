"""What admins change about the intents, and about telling two close ones apart: a layer over routes.toml that is kept as one
value, so a version is one row.

Which models, prompt and buttons an intent has is the file's; an intent of the admins' own takes another one's route.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InputError
from app.routing.table import RouteEntry, RoutingTable, TieBreak

FEWEST = 3  # examples an intent needs to be learned
LONGEST = 300  # characters of an example: longer ones are documents, not questions
NAME = re.compile(r"[a-z][a-z_]{1,39}")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TIES = "tie-break"  # names that setting among changes; no intent can be called so


class IntentEdit(BaseModel):
    """What differs from the file for one intent. `like` names whose route an intent takes that the file does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = ""
    like: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retired: bool = False
    merged_into: str = ""


class Edits(BaseModel):
    """Every method gives new edits and raises InputError, with the way out, for a change that cannot stand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intents: dict[str, IntentEdit] = Field(default_factory=dict)
    ties: TieBreak | Literal["file", "off"] = "file"

    def apply(self, file: RoutingTable) -> RoutingTable:
        """The table in force. What no longer fits a file that has changed since is left out, so a start never fails here."""
        known = {entry.name: entry for entry in file.entries}
        for name, edit in self.intents.items():
            if name not in known and edit.like:
                known[name] = _made(file, name, edit)
        edited = {name: _edited(entry, self.intents.get(name)) for name, entry in known.items()}
        examples = {name: list(entry.examples) for name, entry in edited.items()}
        for name in edited:
            target = self.target(name)
            if target != name and target in examples:
                examples[target] += examples[name]
        entries = tuple(
            entry.model_copy(update={"examples": tuple(dict.fromkeys(examples[name]))})
            for name, entry in edited.items()
            if name == file.fallback.name or not (self._gone(name) or len(examples[name]) < FEWEST)
        )
        return replace(file, entries=entries, tie_break=self.tie_break(file))

    def tie_break(self, file: RoutingTable) -> TieBreak | None:
        """How two close intents are told apart; None where no model is asked."""
        if isinstance(self.ties, TieBreak):
            return self.ties
        return file.tie_break if self.ties == "file" else None

    def ask_when_close(
        self, margin: float, models: Sequence[str], deadline_s: float, known: Sequence[str]
    ) -> Edits:
        """Two intents within `margin` of each other: one of `models`, all of which have to be `known`, is asked which it is."""
        if unknown := [name for name in models if name not in known]:
            raise InputError(
                f"There is no model {', '.join(unknown)}.", fix="Choose models from the list."
            )
        try:
            ties = TieBreak(margin=margin, models=tuple(models), deadline_s=deadline_s)
        except ValidationError as error:
            raise InputError(
                "Two intents are close within more than 0 and at most 1, and a model has more than 0 and at most 10 seconds."
                if models
                else "There is no model to ask.",
                fix="Correct the numbers." if models else "Choose one at least, or turn it off.",
            ) from error
        return self.model_copy(update={"ties": ties})

    def never_ask(self) -> Edits:
        """Of two close intents the closest is taken."""
        return self.model_copy(update={"ties": "off"})

    def ask_as_delivered(self) -> Edits:
        return self.model_copy(update={"ties": "file"})

    def add(
        self, file: RoutingTable, name: str, label: str, like: str, examples: Iterable[str]
    ) -> Edits:
        """A new intent that is answered as `like` is."""
        if not label.strip():
            raise InputError("An intent needs a name.", fix="Write what people would call it.")
        if not NAME.fullmatch(name):
            raise InputError(
                f"'{name}' cannot name an intent.", fix="Use small letters and underscores."
            )
        if name in {entry.name for entry in file.entries} | set(self.intents):
            known = self.own(file, name).label
            raise InputError(
                f"There is an intent '{known}' already{' that is used no longer' * self._gone(name)}.",
                fix="Choose another name, or open that one.",
            )
        if like not in {entry.name for entry in file.entries}:
            raise InputError(f"There is no intent '{like}' in the file to take the route of.")
        edit = IntentEdit(label=label.strip() or name, like=like, added=cleaned(examples))
        return self._with(file, name, edit)

    def change(self, file: RoutingTable, name: str, label: str, examples: Iterable[str]) -> Edits:
        """`examples` are all that the intent is to have."""
        wanted, edit = cleaned(examples), self._edit(file, name)
        given = next((entry for entry in file.entries if entry.name == name), None)
        own = given.examples if given else ()
        label = label.strip()
        return self._with(
            file,
            name,
            edit.model_copy(
                update={
                    "label": "" if given and label == given.label else label,
                    "added": tuple(text for text in wanted if text not in own),
                    "removed": tuple(text for text in own if text not in wanted),
                }
            ),
        )

    def merge(self, file: RoutingTable, name: str, into: str) -> Edits:
        """`into` learns the examples of `name`, which is an intent no more."""
        if self.target(into) == name or into == name:
            raise InputError("An intent cannot be merged into itself.", fix="Choose another one.")
        if into not in {entry.name for entry in self.apply(file).entries}:
            raise InputError(f"There is no intent '{into}' in use.", fix="Choose another one.")
        return self._with(
            file, name, self._edit(file, name).model_copy(update={"merged_into": into})
        )

    def retire(self, file: RoutingTable, name: str) -> Edits:
        """Its questions go elsewhere: to what is closest, or to the fallback."""
        if users := [n for n, edit in self.intents.items() if edit.merged_into == name]:
            raise InputError(
                f"'{users[0]}' is merged into '{name}'.", fix="Bring that one back first."
            )
        return self._with(file, name, self._edit(file, name).model_copy(update={"retired": True}))

    def restore(self, file: RoutingTable, name: str) -> Edits:
        edit = self._edit(file, name).model_copy(update={"retired": False, "merged_into": ""})
        return self._with(file, name, edit)

    def own(self, file: RoutingTable, name: str) -> RouteEntry:
        """One intent, in use or not, with the examples that are its own: without those of intents merged into it."""
        edit = self._edit(file, name)
        given = next((entry for entry in file.entries if entry.name == name), None)
        return _edited(given or _made(file, name, edit), edit)

    def gone(self) -> dict[str, str]:
        """Intents that are retired (empty) or merged (into which)."""
        return {n: e.merged_into for n, e in self.intents.items() if e.retired or e.merged_into}

    def target(self, name: str) -> str:
        """Where the examples and corrections of `name` end up, along merges of merges; mostly itself."""
        seen = {name}
        while (into := self.intents.get(name, IntentEdit()).merged_into) and into not in seen:
            seen.add(into)
            name = into
        return name

    def differs(self, other: Edits) -> dict[str, str]:
        """What was done to each intent, and to TIES, since `other`, in a word or two; no example's text."""
        found: dict[str, str] = {}
        for name in sorted({*self.intents, *other.intents}):
            new, old = self.intents.get(name), other.intents.get(name)
            if new != old:
                found[name] = _described(new or IntentEdit(), old)
        if self.ties != other.ties:
            found[TIES] = _told(self.ties)
        return found

    def _with(self, file: RoutingTable, name: str, edit: IntentEdit) -> Edits:
        if name == file.fallback.name and (edit.retired or edit.merged_into):
            raise InputError(
                f"'{file.fallback.label}' answers what no other intent does, so it has to stay."
            )
        others = {n: e for n, e in self.intents.items() if n != name}
        intents = others if edit == IntentEdit() else {**others, name: edit}
        changed = self.model_copy(update={"intents": intents})
        counts = {entry.name: len(entry.examples) for entry in changed.apply(file).entries}
        if counts.get(name, 0) < FEWEST and not (edit.retired or edit.merged_into):
            raise InputError(
                f"An intent needs {FEWEST} examples at least.",
                fix="Add what people write, one a line.",
            )
        if twin := changed._twin(file, name):
            raise InputError(
                f"There is an intent '{twin}' already.",
                fix="Give them different names, or nobody can tell them apart in a list.",
            )
        if shared := changed._shared(file, name):
            raise InputError(
                f"One of these examples belongs to '{shared}' already.",
                fix="Take it out there first, or leave it out here.",
            )
        if len(counts) < 2:
            raise InputError("Two intents have to stay.", fix="Add another one first.")
        return changed

    def _twin(self, file: RoutingTable, name: str) -> str:
        """The label of another intent in use that reads like this one's, else empty."""
        labels = {entry.name: entry.label for entry in self.apply(file).entries}
        mine = labels.pop(name, None)
        alike = (one for one in labels.values() if mine and one.casefold() == mine.casefold())
        return next(alike, "")

    def _shared(self, file: RoutingTable, name: str) -> str:
        """The label of another intent that has an example of this one's, else empty: such an example would teach nothing."""
        entries = self.apply(file).entries
        own = {text for entry in entries if entry.name == name for text in entry.examples}
        others = (entry for entry in entries if entry.name != name)
        return next((entry.label for entry in others if not own.isdisjoint(entry.examples)), "")

    def _edit(self, file: RoutingTable, name: str) -> IntentEdit:
        if name not in {entry.name for entry in file.entries} | set(self.intents):
            raise InputError(f"There is no intent '{name}'.", fix="Choose one from the list.")
        return self.intents.get(name, IntentEdit())

    def _gone(self, name: str) -> bool:
        edit = self.intents.get(name, IntentEdit())
        return edit.retired or bool(edit.merged_into)


def name_of(label: str) -> str:
    """`Time off` as an intent's name: small letters and underscores, `Floor 2` as `floor_two`. A label in another script gets
    letters that are always the same for it. Empty for an empty label."""
    decomposed = unicodedata.normalize("NFKD", label.strip())
    plain = decomposed.encode("ascii", "ignore").decode().lower()
    spelled = re.sub(r"[0-9]", lambda digit: f"_{DIGITS[int(digit[0])]}_", plain)
    name = re.sub(r"[^a-z]+", "_", spelled).strip("_")[:30].strip("_")
    lost = any(letter.isalnum() and not letter.isascii() for letter in decomposed)
    if not label.strip() or (NAME.fullmatch(name) and not lost and len(spelled) <= 30):
        return name
    digest = hashlib.sha256(label.strip().encode()).digest()
    return "_".join([name or "intent", "".join(chr(ord("a") + byte % 26) for byte in digest[:6])])


def cleaned(examples: Iterable[str]) -> tuple[str, ...]:
    """Without blanks and repetitions. Raises InputError for an example that is too long to be a question."""
    found = tuple(dict.fromkeys(text for line in examples if (text := " ".join(line.split()))))
    if any(len(text) > LONGEST for text in found):
        raise InputError(
            f"An example has at most {LONGEST} characters.", fix="Write one question a line."
        )
    return found


def _made(file: RoutingTable, name: str, edit: IntentEdit) -> RouteEntry:
    """An intent of the admins' own, without its examples yet. A route that has left the file gives way to the fallback's."""
    route = file.entry(edit.like)
    return route.model_copy(update={"name": name, "label": edit.label or name, "examples": ()})


def _edited(entry: RouteEntry, edit: IntentEdit | None) -> RouteEntry:
    if edit is None:
        return entry
    kept = [text for text in entry.examples if text not in edit.removed]
    return entry.model_copy(
        update={"label": edit.label or entry.label, "examples": (*kept, *edit.added)}
    )


def _told(ties: TieBreak | Literal["file", "off"]) -> str:
    if isinstance(ties, TieBreak):
        return (
            f"{' or '.join(ties.models)} is asked within {ties.margin:g}, for {ties.deadline_s:g} s"
        )
    return "no model is asked" if ties == "off" else "as delivered"


def _described(new: IntentEdit, old: IntentEdit | None) -> str:
    before = old or IntentEdit()
    if new.merged_into and new.merged_into != before.merged_into:
        return f"merged into {new.merged_into}"
    if new.retired and not before.retired:
        return "retired"
    if (before.retired or before.merged_into) and not (new.retired or new.merged_into):
        return "brought back"
    if old is None and new.like:
        return f"added with {len(new.added)} examples"
    now_, then = set(new.added) | {""}, set(before.added) | {""}
    more = len(now_ - then) + len(set(before.removed) - set(new.removed))
    less = len(then - now_) + len(set(new.removed) - set(before.removed))
    return f"{more} examples more, {less} fewer" if more or less else "renamed"
