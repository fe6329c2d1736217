"""What an administrator fills in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from connectors.contract import ClassedSettings, Secrets, WebAddress


class GitHubSettings(ClassedSettings):
    organization: str = Field(
        min_length=1,
        title="Organization",
        description="Its name in addresses: acme for github.com/acme.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$",
    )
    repositories: tuple[str, ...] = Field(
        default=(),
        title="Repositories",
        description="Names, one per line; empty for all that the token may read.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Leave out", description="Names of repositories to leave out."
    )
    issues: bool = Field(
        default=True, title="Issues", description="Read issues with their comments."
    )
    pull_requests: bool = Field(
        default=True,
        title="Pull requests",
        description="Read descriptions, comments and reviews of pull requests.",
    )
    files: tuple[str, ...] = Field(
        default=("*.md", "*.markdown"),
        title="Files",
        description="Patterns such as *.md or docs/*.html, one per line; markdown, text, HTML, PDF and Word files count. Empty for none.",
    )
    archived: bool = Field(
        default=True, title="Archived repositories", description="Read archived repositories."
    )
    forks: bool = Field(default=False, title="Forks", description="Read forks.")
    emails: Literal["verified_domain", "saml", "list"] = Field(
        default="verified_domain",
        title="E-mail addresses from",
        description="verified_domain: addresses at your organization's verified domains. saml: identities of its single sign-on. list: only the list below.",
    )
    people: tuple[str, ...] = Field(
        default=(),
        title="People",
        description="Accounts whose address GitHub does not tell, one per line: octocat = ada@example.com",
    )
    full_hours: int = Field(
        default=24,
        ge=1,
        title="Full reading every (hours)",
        description="Finds issues that were deleted or moved without an event.",
    )
    api_url: WebAddress = Field(
        default="https://api.github.com",
        title="API address",
        description="Leave as it is; an own server has https://HOST/api/v3.",
    )

    @field_validator("people")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            login, _, email = line.partition("=")
            if not login.strip() or "@" not in email:
                raise ValueError(f"'{line}': write login = address")
        return value

    @property
    def graphql_url(self) -> str:
        if self.api_url.endswith("/api/v3"):
            return self.api_url.removesuffix("/v3") + "/graphql"
        return self.api_url + "/graphql"


class GitHubSecrets(Secrets):
    token: SecretStr = Field(
        title="Access token", description="A fine-grained personal access token, github_pat_…"
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Webhook secret",
        description="The secret of the webhook; only for events. Empty: events are refused.",
    )
