"""Readers that an administrator states, for sources that have no permissions of their own. Nothing stated means nobody."""

from __future__ import annotations

import hashlib

from pydantic import Field, field_validator

from connectors.contract import Access, Check, ClassedSettings, Outcome

FIX = "State who may read: groups, people or everyone."


class StatedReaders(ClassedSettings):
    everyone: bool = Field(
        default=False,
        title="Everyone may read",
        description="Everybody who can sign in to Switchboard finds these documents.",
    )
    groups: tuple[str, ...] = Field(
        default=(), title="Groups that may read", description="The company's groups, one per line."
    )
    users: tuple[str, ...] = Field(
        default=(), title="People who may read", description="E-mail addresses, one per line."
    )

    @field_validator("groups", "users")
    @classmethod
    def _lines(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value.strip() for value in values if value.strip())

    @field_validator("users")
    @classmethod
    def _emails(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value.count("@") != 1 or " " in value:
                raise ValueError(f"'{value}' is no e-mail address.")
        return tuple(value.lower() for value in values)

    @property
    def stated(self) -> bool:
        return bool(self.everyone or self.groups or self.users)

    def access(self) -> Access:
        if not self.stated:
            return Access.nobody()
        return Access(
            known=True,
            everyone=self.everyone,
            users=frozenset(self.users),
            groups=frozenset(self.groups),
            company_groups=True,
        )

    def readers_mark(self) -> str:
        """Another text when other readers or another data class are stated."""
        fields = {"everyone", "groups", "users", "data_class"}
        return hashlib.sha256(self.model_dump_json(include=fields).encode()).hexdigest()

    def readers_check(self, what: str) -> Check:
        """`what` has no readers of its own, such as 'An MCP server'."""
        if not self.stated:
            message = f"{what} does not say who may read, and no readers are stated."
            return Check("permissions", Outcome.FAILED, message, FIX)
        if self.everyone:
            return Check("permissions", Outcome.PASSED, "Everyone may read, as stated.")
        message = (
            f"Stated readers: groups: {', '.join(self.groups) or 'none'}; people: "
            f"{', '.join(self.users) or 'none'}."
        )
        return Check("permissions", Outcome.PASSED, message)
