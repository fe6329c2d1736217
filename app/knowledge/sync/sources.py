"""Which connectors there are: packages of `connectors` with a `CONNECTOR` class, and entry points of other packages."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

import connectors
from app.domain import Json
from app.errors import InputError
from connectors.contract import CONTRACT_VERSION, Connector

log = structlog.get_logger(__name__)
GROUP = "switchboard.connectors"


@dataclass(frozen=True, slots=True)
class ConnectorKind:
    """What the admin page shows of a kind; the form is made from `settings_model`."""

    kind: str
    title: str
    description: str
    settings_model: type[BaseModel]


class Sources:
    """Built-in kinds win over others of the same name. What cannot be loaded is left out and logged."""

    def __init__(self) -> None:
        self._kinds: dict[str, type[Connector]] = {}
        for origin, found in _found():
            if problem := _problem(found, self._kinds):
                log.warning("connector left out", origin=origin, cause=problem)
            else:
                self._kinds[found.kind] = found

    def kinds(self) -> list[ConnectorKind]:
        return [
            ConnectorKind(kind, found.title, found.description, found.settings_model)
            for kind, found in sorted(self._kinds.items(), key=lambda pair: pair[1].title)
        ]

    def validated(self, kind: str, settings: Mapping[str, Any]) -> Json:
        """Settings as they are stored. Raises InputError naming the first field that is wrong."""
        try:
            model = self._kind(kind).settings_model.model_validate(dict(settings))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            raise InputError(f"'{where}' is wrong: {first['msg']}.") from error
        return model.model_dump(mode="json")

    def connector(self, kind: str, settings: Mapping[str, Any]) -> Connector:
        """Raises InputError for an unknown kind or settings that no longer fit."""
        found = self._kind(kind)
        return found(found.settings_model.model_validate(self.validated(kind, settings)))

    def _kind(self, kind: str) -> type[Connector]:
        if kind not in self._kinds:
            raise InputError(
                f"There is no connector '{kind}' here.", fix="Install its package and restart."
            )
        return self._kinds[kind]


def _found() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.iter_modules(connectors.__path__):
        if module.ispkg:
            package = import_module(f"{connectors.__name__}.{module.name}")
            if (connector := getattr(package, "CONNECTOR", None)) is not None:
                yield package.__name__, connector
    for point in entry_points(group=GROUP):
        try:
            yield point.value, point.load()
        except Exception as error:
            # Somebody else's package: its failure to import must not stop the desk.
            log.warning("connector left out", origin=point.value, cause=repr(error))


def _problem(found: Any, taken: Mapping[str, type[Connector]]) -> str:
    if not (isinstance(found, type) and issubclass(found, Connector)):
        return "it is no Connector class"
    if found.contract_version != CONTRACT_VERSION:
        return f"it speaks contract {found.contract_version}, this is {CONTRACT_VERSION}"
    if taken.get(found.kind, found) is not found:
        return f"the kind '{found.kind}' is taken"
    return ""
