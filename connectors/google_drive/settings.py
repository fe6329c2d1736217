"""What an administrator fills in."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from connectors.contract import ClassedSettings, Secrets, WebAddress


class GoogleDriveSettings(ClassedSettings):
    subject: str = Field(
        title="Account",
        description="E-mail address of the account to read as: a member of every shared drive to read, with the right to see groups and users.",
        pattern=r"^\s*[^@\s]+@[^@\s]+\s*$",
    )
    drives: tuple[str, ...] = Field(
        default=(),
        title="Shared drives",
        description="Names or IDs, one per line; empty for all that the account is a member of.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Leave out", description="Names or IDs of shared drives to leave out."
    )
    people: tuple[str, ...] = Field(
        default=(),
        title="People",
        description="E-mail addresses of people whose own files (My Drive) are read too, one per line.",
    )
    links: bool = Field(
        default=False,
        title="Links count as sharing",
        description="Files that anyone with the link may open are found by all the company's accounts. Off: a link alone makes nobody a reader.",
    )
    drive_url: WebAddress = Field(
        default="https://www.googleapis.com/drive/v3",
        title="Drive API address",
        description="Leave as it is.",
    )
    directory_url: WebAddress = Field(
        default="https://admin.googleapis.com/admin/directory/v1",
        title="Directory API address",
        description="Leave as it is.",
    )

    @field_validator("people")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            if "@" not in line:
                raise ValueError(f"'{line}' is no e-mail address")
        return value


class GoogleDriveSecrets(Secrets):
    key: SecretStr = Field(
        title="Service account key",
        description="The whole JSON file that Google gave you when the key was created.",
    )
