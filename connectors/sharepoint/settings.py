"""What an administrator fills in."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from connectors.contract import ClassedSettings, Secrets, WebAddress


class SharePointSettings(ClassedSettings):
    tenant_id: str = Field(
        title="Directory (tenant) ID",
        description="Entra admin center, the app's overview.",
        pattern=r"^[A-Za-z0-9.-]+$",
    )
    client_id: str = Field(
        title="Application (client) ID",
        description="Entra admin center, the app's overview.",
        pattern=r"^[A-Za-z0-9-]+$",
    )
    sites: tuple[str, ...] = Field(
        default=(),
        title="Sites",
        description="Addresses such as https://acme.sharepoint.com/sites/hr, one per line; empty for all that the app may read.",
    )
    people: tuple[str, ...] = Field(
        default=(),
        title="People",
        description="Sign-in names of people whose OneDrive is read too, one per line.",
    )
    organization_links: bool = Field(
        default=False,
        title="Organization links count as sharing",
        description="Files that people in the organization with the link may open are found by all its members. Off: a link alone makes nobody a reader.",
    )
    site_groups: tuple[str, ...] = Field(
        default=(),
        title="Site groups",
        description="Graph does not tell who is in a site's own groups. One per line, a name and the Entra group's ID that stands for it: HR Members = 0b1c…",
    )
    graph_url: WebAddress = Field(
        default="https://graph.microsoft.com/v1.0",
        title="Graph address",
        description="Leave as it is; national clouds have their own.",
    )
    login_url: WebAddress = Field(
        default="https://login.microsoftonline.com",
        title="Sign-in address",
        description="Leave as it is; national clouds have their own.",
    )

    @field_validator("site_groups")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            name, _, group = line.rpartition("=")
            if not name.strip() or not group.strip():
                raise ValueError(f"'{line}': write name = group ID")
        return value


class SharePointSecrets(Secrets):
    client_secret: SecretStr = Field(
        title="Client secret", description="The secret's value, not its ID. Note when it expires."
    )
    client_state: SecretStr = Field(
        default=SecretStr(""),
        title="Client state",
        description="The subscription's clientState; only for notifications. Empty: they are refused.",
    )
