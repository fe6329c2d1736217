"""What an administrator fills in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from connectors.atlassian import SiteSecrets, SiteSettings

PublicSpaces = Literal["people with an account", "everyone"]


class ConfluenceSettings(SiteSettings):
    spaces: tuple[str, ...] = Field(
        default=(),
        title="Spaces",
        description="Keys of spaces, one per line; empty for every space that the account may see.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), title="Leave out", description="Keys of spaces to leave out, one per line."
    )
    personal_spaces: bool = Field(
        default=False, title="Personal spaces", description="Read the spaces of people, too."
    )
    archived: bool = Field(
        default=False, title="Archived", description="Read archived spaces and pages, too."
    )
    blog_posts: bool = Field(default=True, title="Blog posts", description="Read blog posts.")
    comments: bool = Field(
        default=True, title="Comments", description="Read comments with the page they belong to."
    )
    attachments: bool = Field(
        default=True,
        title="Attachments",
        description="Read attached PDF, Word, HTML, markdown and text files.",
    )
    public_spaces: PublicSpaces = Field(
        default="people with an account",
        title="Spaces open to anonymous visitors are for",
        description="People with an account of this site (guests left out), or everyone who can sign in here.",
    )
    full_hours: int = Field(
        default=24,
        ge=1,
        title="Full reading every (hours)",
        description="Finds what the search for recent changes does not tell, such as deleted comments.",
    )


class ConfluenceSecrets(SiteSecrets):
    pass
