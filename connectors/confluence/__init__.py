"""Confluence Cloud: pages, blog posts, comments and files, for those whom space permissions and page restrictions admit."""

from connectors.confluence.connector import ConfluenceConnector

CONNECTOR = ConfluenceConnector

__all__ = ["CONNECTOR", "ConfluenceConnector"]
