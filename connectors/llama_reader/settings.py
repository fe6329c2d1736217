"""What an administrator fills in: which reader class, its arguments, and who may read what it loads."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.contract import Secrets
from connectors.stated import StatedReaders

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
OWN_ID = "id_"


class LlamaSettings(StatedReaders):
    reader: str = Field(
        title="Reader",
        description="Import path of a LlamaIndex reader class that is installed here, such as "
        "llama_index.core:SimpleDirectoryReader. Its code runs inside Switchboard.",
    )
    arguments: str = Field(
        default="",
        max_length=20_000,
        title="Constructor arguments",
        description='TOML, one per line, such as input_dir = "/data/notes". Nothing secret here.',
    )
    load_arguments: str = Field(
        default="",
        max_length=20_000,
        title="Load arguments",
        description='TOML: what load_data takes, such as page_ids = ["a1", "b2"].',
    )
    id_field: str = Field(
        default="",
        title="Id field",
        description="The metadata key that names a document lastingly, such as file_path; id_ for the reader's own id. "
        "Empty: the reader's own id unless it is random, else the text itself.",
    )
    version_field: str = Field(
        default="",
        title="Version field",
        description="The metadata key that changes with the content. Empty: a hash of the text, which is safest.",
    )
    title_field: str = Field(
        default="", title="Title field", description="The metadata key of the title, if any."
    )
    link_field: str = Field(
        default="",
        title="Link field",
        description="The metadata key of the document's web address, if any.",
    )
    text_format: Literal["text/markdown", "text/plain", "text/html"] = Field(
        default="text/plain", title="Text format", description="How the reader writes its text."
    )

    @field_validator("reader")
    @classmethod
    def _path(cls, value: str) -> str:
        if not IMPORT_PATH.fullmatch(value.strip()):
            raise ValueError("write it as package.module:Class")
        return value.strip()

    @field_validator("arguments", "load_arguments")
    @classmethod
    def _toml(cls, value: str) -> str:
        parsed(value)
        return value

    @field_validator("id_field", "version_field", "title_field", "link_field")
    @classmethod
    def _key(cls, value: str) -> str:
        return value.strip()


class LlamaSecrets(Secrets):
    arguments: SecretStr = Field(
        default=SecretStr(""),
        title="Secret constructor arguments",
        description='TOML in one line, such as { integration_token = "secret_…" }; given with the other arguments.',
    )

    @field_validator("arguments")
    @classmethod
    def _table(cls, value: SecretStr) -> SecretStr:
        try:
            secret_table(value)
        except ValueError:
            raise ValueError('write it as { name = "value" }') from None
        return value


def parsed(text: str) -> dict[str, Any]:
    """Raises ValueError, in words."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not valid TOML ({error})") from None


def secret_table(secret: SecretStr) -> dict[str, Any]:
    """An inline table, because a secret's field has one line. Raises ValueError."""
    text = secret.get_secret_value().strip()
    table = tomllib.loads(f"t = {text}")["t"] if text else {}
    if not isinstance(table, dict):
        raise ValueError("no table")
    return table
