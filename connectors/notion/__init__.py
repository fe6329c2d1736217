"""Notion: pages and database rows that are shared with an integration, for the readers that the admin states."""

from connectors.notion.connector import NotionConnector

CONNECTOR = NotionConnector

__all__ = ["CONNECTOR", "NotionConnector"]
