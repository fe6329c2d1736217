"""GitHub: issues, pull requests and documents in repositories; readers are those who may read the repository."""

from connectors.github.connector import GitHubConnector

CONNECTOR = GitHubConnector

__all__ = ["CONNECTOR", "GitHubConnector"]
