"""Mail: a person's own folders are theirs alone, shared folders follow their IMAP ACL."""

from connectors.imap.connector import ImapConnector

CONNECTOR = ImapConnector

__all__ = ["CONNECTOR", "ImapConnector"]
