"""What an admin states about a website, its readers included: pages on the web do not say who may read them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from connectors.stated import StatedReaders
from connectors.website.guard import Guard, Resolve, read_internal, system_resolver
from connectors.website.urls import Scope, host_of, normal

MOST_PAGES = 20_000


class WebsiteSettings(StatedReaders):
    start: tuple[str, ...] = Field(
        min_length=1,
        title="Start addresses",
        description="Pages to begin with, or sitemaps (addresses ending in .xml or .xml.gz), one per line.",
    )
    find: Literal["links", "sitemap", "listed"] = Field(
        default="links",
        title="Find pages by",
        description="links: follow links from the start addresses. sitemap: read the site's sitemap. "
        "listed: the start addresses only.",
    )
    depth: int = Field(
        default=5,
        ge=0,
        le=50,
        title="Depth",
        description="How many links away from a start address.",
    )
    page_limit: int = Field(
        default=1000,
        ge=1,
        le=MOST_PAGES,
        title="Page limit",
        description="At most this many pages are asked for in one sync; those nearest to the start count first.",
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        title="Further hosts",
        description="Hosts read besides those of the start addresses, such as docs.example.com.",
    )
    include: tuple[str, ...] = Field(
        default=("**",),
        title="Include",
        description="Patterns over the path, such as handbook/**; a page must match one.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        title="Exclude",
        description="Patterns of paths that are neither read nor followed.",
    )
    trust_lastmod: bool = Field(
        default=False,
        title="Trust the sitemap's dates",
        description="Pages whose date in the sitemap has not moved are not asked for. Only for sites that keep it right.",
    )
    internal: tuple[str, ...] = Field(
        default=(),
        title="Internal hosts",
        description="Hosts or networks inside the company that may be read, such as wiki.example.lan or 10.1.2.0/24. "
        "None: public addresses only.",
    )
    ports: tuple[str, ...] = Field(
        default=("80", "443"), title="Ports", description="Ports that may be asked, one per line."
    )

    @field_validator("start")
    @classmethod
    def _addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            address = normal(value)
            if address is None:
                raise ValueError(
                    f"'{value}' is no web address; it starts with https:// or http://."
                )
            if "@" in address.split("/", 3)[2]:
                raise ValueError(f"The address at {host_of(address)} carries a name or a password.")
        return tuple(value.strip() for value in values)

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value.strip() for value in values if value.strip())

    @field_validator("ports")
    @classmethod
    def _ports(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not value.strip().isdigit() or not 0 < int(value) < 65536:
                raise ValueError(f"'{value}' is no port.")
        return tuple(value.strip() for value in values)

    @model_validator(mode="after")
    def _internal(self) -> Self:
        read_internal(self.internal)
        return self

    def scope(self) -> Scope:
        hosts = {host_of(address) for address in self.seeds()}
        further = {host.lower().rstrip(".") for host in self.hosts}
        return Scope(frozenset(hosts | further), self.include, self.exclude)

    def seeds(self) -> tuple[str, ...]:
        """The start addresses in their one spelling."""
        addresses = (normal(value) for value in self.start)
        return tuple(dict.fromkeys(address for address in addresses if address is not None))

    def guard(self, resolve: Resolve = system_resolver) -> Guard:
        hosts, networks = read_internal(self.internal)
        return Guard(hosts, networks, frozenset(int(port) for port in self.ports), resolve)
