"""The pages of a website, by its sitemap or by following links; connections inside the network are refused."""

from connectors.website.connector import WebsiteConnector

CONNECTOR = WebsiteConnector

__all__ = ["CONNECTOR", "WebsiteConnector"]
