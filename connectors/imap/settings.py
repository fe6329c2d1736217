"""What an administrator fills in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.contract import ClassedSettings, DataClassName, Secrets

EMAIL = re.compile(r"[^@\s<>()\",;:\[\]\\]+@[^@\s<>()\",;:\[\]\\]+")


@dataclass(frozen=True, slots=True)
class Person:
    """A login at the server, and the e-mail address whose own mail it is."""

    login: str
    email: str


class ImapSettings(ClassedSettings):
    data_class: DataClassName = Field(
        default="confidential", title="Data class", description="How sensitive the mail is."
    )
    host: str = Field(min_length=1, title="Server", description="Such as imap.example.com.")
    port: int = Field(
        default=0, ge=0, le=65535, title="Port", description="0 for 993 with TLS, otherwise 143."
    )
    security: Literal["tls", "starttls", "none"] = Field(
        default="tls",
        title="Encryption",
        description="none sends the password readable: only for a server on this machine.",
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description="Certificates to trust, for a server with a private one; empty for the system's.",
    )
    user: str = Field(
        min_length=1, title="User", description="The account's login, or the master user's name."
    )
    auth: Literal["password", "oauth2"] = Field(
        default="password",
        title="Sign in with",
        description="A password, or an OAuth2 token (XOAUTH2).",
    )
    owner: str = Field(
        default="",
        title="Owner",
        description="E-mail address of the person whose mail this is; nobody else finds their own folders.",
    )
    persons: tuple[str, ...] = Field(
        default=(),
        title="Persons (master user)",
        description="Mailboxes to read through a master user, one per line: login and e-mail address.",
    )
    separator: str = Field(
        default="*",
        title="Master separator",
        description="Between a person's login and the master user's name.",
    )
    folders: tuple[str, ...] = Field(
        default=(),
        title="Folders",
        description="Patterns such as INBOX or Projects/*; empty for all.",
    )
    shared: bool = Field(
        default=True,
        title="Shared folders",
        description="Read shared and public folders for those whom their ACL admits.",
    )
    accounts: tuple[str, ...] = Field(
        default=(),
        title="Accounts in ACLs",
        description="One per line: login and e-mail address. A login that is an address needs no line.",
    )
    acl_groups: tuple[str, ...] = Field(
        default=(),
        title="Groups in ACLs",
        description="One per line, such as 'staff: ada@example.com, group:hr'. A group without a line admits nobody.",
    )
    anyone_is_accounts: bool = Field(
        default=False,
        title="'anyone' means the accounts above",
        description="Off: the identifiers anyone and authenticated admit nobody.",
    )
    link: str = Field(
        default="",
        title="Link",
        description="A web mail address with {folder}, {uid} or {message_id}; empty for none.",
    )

    @field_validator("owner")
    @classmethod
    def _address(cls, value: str) -> str:
        text = value.strip().lower()
        if text and not EMAIL.fullmatch(text):
            raise ValueError("enter one e-mail address")
        return text

    @field_validator("persons", "accounts")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            _person(line)
        return value

    @field_validator("acl_groups")
    @classmethod
    def _groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            _group(line)
        return value

    @field_validator("link")
    @classmethod
    def _web(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("a link begins with https:// or http://")
        return value

    @model_validator(mode="after")
    def _someone(self) -> ImapSettings:
        if not self.persons and not self.owner:
            raise ValueError("name the owner, or the persons that a master user reads")
        if self.persons and self.auth == "oauth2":
            raise ValueError("a master user signs in with a password")
        return self

    def people(self) -> tuple[Person, ...]:
        if self.persons:
            return tuple(_person(line) for line in self.persons)
        return (Person(self.user, self.owner),)

    def known_accounts(self) -> dict[str, str]:
        """Login to e-mail."""
        listed = [_person(line) for line in self.accounts]
        return {person.login: person.email for person in (*listed, *self.people())}

    def groups_of_acls(self) -> dict[str, frozenset[str]]:
        return dict(_group(line) for line in self.acl_groups)


class ImapSecrets(Secrets):
    password: SecretStr = Field(
        title="Password or token",
        description="The account's or master user's password, or an OAuth2 access token.",
    )


def _person(line: str) -> Person:
    words = line.split()
    if not 1 <= len(words) <= 2 or not EMAIL.fullmatch(words[-1]):
        raise ValueError(f"'{line}': write a login and an e-mail address")
    return Person(words[0], words[-1].lower())


def _group(line: str) -> tuple[str, frozenset[str]]:
    name, colon, members = line.partition(":")
    found = [entry.strip() for entry in members.split(",") if entry.strip()]
    if not colon or not name.strip():
        raise ValueError(f"'{line}': write a name, a colon and the members")
    for entry in found:
        if not entry.startswith("group:") and not EMAIL.fullmatch(entry):
            raise ValueError(f"'{entry}' is neither an e-mail address nor group:<name>")
    return name.strip(), frozenset(e if e.startswith("group:") else e.lower() for e in found)
