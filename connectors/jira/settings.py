"""What an administrator fills in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from connectors.atlassian import SiteSecrets, SiteSettings


class JiraSettings(SiteSettings):
    projects: tuple[str, ...] = Field(
        default=(),
        title="Projects",
        description="Keys of projects, one per line; empty for every project that the account may see.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Leave out", description="Keys of projects to leave out, one per line."
    )
    attachments: bool = Field(
        default=True,
        title="Attachments",
        description="Read attached PDF, Word, HTML, markdown and text files.",
    )
    public_projects: Literal["people with an account", "everyone"] = Field(
        default="people with an account",
        title="Projects open to anyone on the web are for",
        description="People with an account of this site, or everyone who can sign in here.",
    )
    full_hours: int = Field(
        default=24,
        ge=1,
        title="Full reading every (hours)",
        description="Compares every issue with the source, beyond the search for recent changes.",
    )


class JiraSecrets(SiteSecrets):
    pass
