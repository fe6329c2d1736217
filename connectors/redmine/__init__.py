"""Redmine: issues with their comments and files, wiki pages, news and project files, readers by roles and memberships."""

from connectors.redmine.connector import RedmineConnector

CONNECTOR = RedmineConnector

__all__ = ["CONNECTOR", "RedmineConnector"]
