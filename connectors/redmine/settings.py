"""What an administrator fills in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from connectors.contract import ClassedSettings, Secrets, WebAddress


class RedmineSettings(ClassedSettings):
    url: WebAddress = Field(
        title="Address", description="Redmine's address, such as https://redmine.example.com."
    )
    projects: tuple[str, ...] = Field(
        default=(),
        title="Projects",
        description="Identifiers of projects, one per line, as their addresses show them; empty for all.",
    )
    issues: bool = Field(
        default=True, title="Issues", description="Read issues with their public comments."
    )
    wiki: bool = Field(default=True, title="Wiki", description="Read wiki pages.")
    news: bool = Field(default=True, title="News", description="Read news.")
    files: bool = Field(
        default=True,
        title="Files",
        description="Read files of issues and of projects: PDF, Word, HTML, markdown and text.",
    )
    markup: Literal["textile", "markdown"] = Field(
        default="textile",
        title="Text formatting",
        description="As in Redmine under Administration, Settings, General; CommonMark is markdown.",
    )
    reread_hours: int = Field(
        default=24,
        ge=1,
        title="Read comments again every (hours)",
        description="Redmine does not tell when a comment was edited or made private, so issues with comments are read again.",
    )


class RedmineSecrets(Secrets):
    api_key: SecretStr = Field(
        title="API key",
        description="Of an administrator: My account, API access key, Show.",
    )
