"""Finds the reader class, makes it, and takes its documents one by one. Its code is another's: whatever it raises is told."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from connectors.contract import SourceFault
from connectors.llama_reader.settings import LlamaSecrets, LlamaSettings, parsed, secret_table

if TYPE_CHECKING:
    from llama_index.core.readers.base import BaseReader

WORDS = 300
SHORTEST_SECRET = 4


class Loading:
    """One reader with its arguments. Raises SourceFault."""

    def __init__(self, settings: LlamaSettings, secrets: LlamaSecrets) -> None:
        self._settings = settings
        self._hidden = secret_table(secrets.arguments)
        self.name = settings.reader.rpartition(":")[2]

    def documents(self) -> Iterator[object]:
        """What the reader hands over, lazily where it can. A reader that breaks off raises."""
        load_arguments = parsed(self._settings.load_arguments)
        reader = self.reader()
        try:
            if _is_lazy(type(reader)):
                found = iter(reader.lazy_load_data(**load_arguments))
            else:
                found = iter(reader.load_data(**load_arguments))
        except Exception as error:  # any kind: it is not our code
            raise self._fault("could not load", error) from None
        while True:
            try:
                document = next(found)
            except StopIteration:
                return
            except Exception as error:
                raise self._fault("broke off in the middle", error) from None
            yield document

    def reader(self) -> BaseReader:
        kind = self._kind()
        arguments = {**parsed(self._settings.arguments), **self._hidden}
        try:
            return kind(**arguments)
        except Exception as error:
            raise self._fault("could not be made with these arguments", error) from None

    def _kind(self) -> type[BaseReader]:
        try:
            from llama_index.core.readers.base import BaseReader
        except ImportError:
            raise SourceFault(
                "LlamaIndex is not installed here.", "Install llama-index-core and restart."
            ) from None
        module, _, name = self._settings.reader.rpartition(":")
        try:
            kind = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            raise SourceFault(
                f"There is no module '{error.name}' here.",
                "Install the reader's package beside Switchboard and restart, or correct the path.",
            ) from None
        except AttributeError:
            raise SourceFault(
                f"The module '{module}' has no '{name}'.", "Correct the name."
            ) from None
        except Exception as error:
            raise self._fault("cannot be imported", error) from None
        if not (isinstance(kind, type) and issubclass(kind, BaseReader)):
            raise SourceFault(
                f"'{name}' is no LlamaIndex reader.", "Name a class that is a BaseReader."
            )
        return kind

    def _fault(self, what: str, error: Exception) -> SourceFault:
        passing = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        return SourceFault(
            f"The reader {self.name} {what}: {type(error).__name__}: {self._told(str(error))}",
            "Check its arguments against the reader's documentation.",
            passing=passing,
        )

    def _told(self, text: str) -> str:
        """The reader's own words, short and without a secret argument."""
        for secret in sorted(_texts(self._hidden), key=len, reverse=True):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "•••")
        return " ".join(text.split())[:WORDS] or "no words"


def _is_lazy(kind: type[BaseReader]) -> bool:
    from llama_index.core.readers.base import BaseReader

    return kind.lazy_load_data is not BaseReader.lazy_load_data


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)
