"""Jira Cloud: issues with comments and files, for those whom permission schemes and security levels admit."""

from connectors.jira.connector import JiraConnector

CONNECTOR = JiraConnector

__all__ = ["CONNECTOR", "JiraConnector"]
