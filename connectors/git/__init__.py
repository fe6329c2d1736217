"""A branch of a git repository: its documents, read from a copy that follows by commits."""

from connectors.git.connector import GitConnector

CONNECTOR = GitConnector

__all__ = ["CONNECTOR", "GitConnector"]
