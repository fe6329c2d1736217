"""Which connectors there are: packages of `connectors` with a `CONNECTOR` class, and entry points of other packages."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

import connectors
from app import form_faults
from app.domain import Json
from app.errors import InputError
from app.knowledge.sync.credentials import checked_secrets
from connectors.contract import (
    CONTRACT_VERSION,
    Capability,
    Connector,
    Context,
    Limits,
    SourceFault,
)

log = structlog.get_logger(__name__)
GROUP = "switchboard.connectors"


@dataclass(frozen=True, slots=True)
class ConnectorKind:
    """What the admin page shows of a kind; the form is made from `settings_model`."""

    kind: str
    title: str
    description: str
    category: str
    setup_help: str
    settings_model: type[BaseModel]
    secrets_model: type[BaseModel]
    limits: Limits


class Sources:
    """Built-in kinds win over others of the same name. What cannot be loaded is left out and logged."""

    def __init__(self) -> None:
        self._kinds: dict[str, type[Connector]] = {}
        for origin, found in _found():
            self.add(origin, found)

    def add(self, origin: str, found: Any) -> None:
        """`origin` is for the log, should it be left out."""
        if problem := _problem(found, self._kinds):
            log.warning("connector left out", origin=origin, cause=problem)
        else:
            self._kinds[found.kind] = found

    def kinds(self) -> list[ConnectorKind]:
        return [
            ConnectorKind(
                kind,
                found.title,
                found.description,
                found.category,
                found.setup_help,
                found.settings_model,
                found.secrets_model,
                found.limits,
            )
            for kind, found in sorted(self._kinds.items(), key=lambda pair: pair[1].title)
        ]

    def limits(self, kind: str) -> Limits:
        """Raises InputError for an unknown kind."""
        return self._kind(kind).limits

    def validated(self, kind: str, settings: Mapping[str, Any]) -> Json:
        """Settings as they are stored. Raises InputError naming the first field that is wrong."""
        try:
            model = self._kind(kind).settings_model.model_validate(dict(settings))
        except ValidationError as error:
            raise InputError(form_faults.first(self._kind(kind).settings_model, error)) from error
        return model.model_dump(mode="json")

    def secrets(self, kind: str, given: Mapping[str, str]) -> dict[str, str]:
        """Secrets as they are sealed. Raises InputError naming the field that is wrong, never its value."""
        return checked_secrets(self._kind(kind).secrets_model, given)

    def connector(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        context: Context | None = None,
    ) -> Connector:
        """Raises InputError for an unknown kind, or settings or secrets that do not fit."""
        found = self._kind(kind)
        checked = checked_secrets(found.secrets_model, secrets or {})
        return found(
            found.settings_model.model_validate(self.validated(kind, settings)),
            found.secrets_model.model_validate(checked),
            context,
        )

    def capabilities(self, kind: str, settings: Mapping[str, Any]) -> frozenset[Capability]:
        """None where the kind is not installed any more or the settings do not fit it."""
        found = self._kinds.get(kind)
        if found is None:
            return frozenset()
        try:
            checked = found.settings_model.model_validate(dict(settings))
            return found(checked, found.secrets_model.model_construct()).capabilities
        except (ValidationError, SourceFault):
            return frozenset()

    def _kind(self, kind: str) -> type[Connector]:
        if kind not in self._kinds:
            raise InputError(
                f"There is no connector '{kind}' here.", fix="Install its package and restart."
            )
        return self._kinds[kind]


def _found() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.iter_modules(connectors.__path__):
        name = f"{connectors.__name__}.{module.name}"
        package = _loaded(name, partial(import_module, name)) if module.ispkg else None
        if (connector := getattr(package, "CONNECTOR", None)) is not None:
            yield name, connector
    for point in entry_points(group=GROUP):
        if (connector := _loaded(point.value, point.load)) is not None:
            yield point.value, connector


def _loaded(origin: str, load: Callable[[], Any]) -> Any:
    """None for a connector that cannot be imported: one that lacks a library must not stop the desk."""
    try:
        return load()
    except Exception as error:
        log.warning("connector left out", origin=origin, cause=repr(error))
        return None


def _problem(found: Any, taken: Mapping[str, type[Connector]]) -> str:
    if not (isinstance(found, type) and issubclass(found, Connector)):
        return "it is no Connector class"
    if found.contract_version != CONTRACT_VERSION:
        return f"it speaks contract {found.contract_version}, this is {CONTRACT_VERSION}"
    if taken.get(found.kind, found) is not found:
        return f"the kind '{found.kind}' is taken"
    return ""
