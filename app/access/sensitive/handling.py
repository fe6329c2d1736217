"""The policy for what detectors find, read from `handling.toml`, a file under review."""

from __future__ import annotations

import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.access.sensitive.findings import Kind
from app.domain import DataClass
from app.errors import ConfigurationError

HANDLING = Path(__file__).with_name("handling.toml")


def _data_class(value: object) -> object:
    return DataClass.parse(value) if isinstance(value, str) else value


Class = Annotated[DataClass, BeforeValidator(_data_class)]


class KindRule(BaseModel):
    """`data_class` is what this kind makes of a question; `below` says what a model that is cleared for less gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_class: Class
    below: Literal["redact", "raise"]
    why: str = Field(min_length=1)


class Handling(BaseModel):
    """The whole policy. Every kind has a rule, so that a new kind cannot go unnoticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detectors: tuple[Literal["own", "presidio"], ...] = Field(min_length=1)
    question: Class
    above_clearance: Literal["drop", "refuse"]
    kinds: dict[Kind, KindRule]

    @classmethod
    def load(cls, path: Path = HANDLING) -> Handling:
        """Raises ConfigurationError, naming the place, for a file that cannot be used."""
        try:
            read = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{path.name} cannot be read.", detail=str(error)) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(f"{path.name} is wrong at {where}: {first['msg']}.") from error
        if missing := sorted(set(Kind) - set(read.kinds)):
            raise ConfigurationError(f"{path.name} has no rule for {', '.join(missing)}.")
        return read

    @cached_property
    def hidden(self) -> frozenset[Kind]:
        """The kinds that placeholders stand for."""
        return frozenset(kind for kind, rule in self.kinds.items() if rule.below == "redact")
