"""SharePoint and OneDrive through Microsoft Graph: files of sites and people, readers from sharing and Entra groups."""

from connectors.sharepoint.connector import SharePointConnector

CONNECTOR = SharePointConnector

__all__ = ["CONNECTOR", "SharePointConnector"]
