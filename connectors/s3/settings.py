"""Where the bucket is, which of its objects count, and who may read them."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from connectors.contract import ClassedSettings, Secrets
from connectors.s3.readers import read_line


class S3Settings(ClassedSettings):
    endpoint: str = Field(
        default="https://s3.amazonaws.com",
        title="Endpoint",
        description="Address of the storage, such as https://minio.example.com:9000.",
    )
    region: str = Field(
        default="",
        title="Region",
        description="Such as eu-central-1; empty: the storage is asked.",
    )
    bucket: str = Field(min_length=3, title="Bucket", description="Its name.")
    prefix: str = Field(
        default="",
        title="Folder",
        description="Only objects below it, such as handbook/; empty for the whole bucket.",
    )
    include: tuple[str, ...] = Field(
        default=("**",),
        title="Include",
        description="Patterns over the key below the folder, such as *.md or policies/**; an object must match one.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Exclude", description="Patterns of objects to leave out."
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        title="Bucket in the address",
        description="path: endpoint/bucket. virtual: bucket.endpoint. auto: virtual at AWS, path elsewhere.",
    )
    readers_from: Literal["prefixes", "access files"] = Field(
        default="prefixes",
        title="Readers from",
        description="prefixes: the lines below. access files: the nearest access.toml object beside or above.",
    )
    readers: tuple[str, ...] = Field(
        default=(),
        title="Readers by prefix",
        description="Lines such as 'policies/ = everyone' or 'hr/ = group:hr, user:ada@example.com'; the longest "
        "prefix wins, '/' is the whole bucket, 'nobody' closes one. What no line covers is for nobody.",
    )
    link_base: str = Field(
        default="",
        title="Link base",
        description="Web address that the objects are served under, for links in citations; empty for none.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"'{value}' is no web address; it starts with https:// or http://.")
        if parts.path or parts.query or "@" in parts.netloc:
            raise ValueError(
                "The endpoint is a host and a port only; the bucket has its own field."
            )
        return value

    @field_validator("prefix")
    @classmethod
    def _folder(cls, value: str) -> str:
        """A folder, so that `hr` never means `hr-public/` too."""
        value = value.strip().lstrip("/")
        return value if not value or value.endswith("/") else f"{value}/"

    @field_validator("readers")
    @classmethod
    def _lines(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        lines = [value.strip() for value in values if value.strip()]
        prefixes = [read_line(line)[0] for line in lines]
        for prefix in prefixes:
            if prefixes.count(prefix) > 1:
                raise ValueError(f"The prefix '{prefix or '/'}' has two lines; keep one.")
        return tuple(lines)


class S3Secrets(Secrets):
    access_key: SecretStr = Field(
        default=SecretStr(""), title="Access key", description="The access key's id."
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""), title="Secret key", description="The secret that belongs to it."
    )
