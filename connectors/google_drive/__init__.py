"""Google Drive: shared drives and people's own files, readers from sharing, groups from the company's directory."""

from connectors.google_drive.connector import GoogleDriveConnector

CONNECTOR = GoogleDriveConnector

__all__ = ["CONNECTOR", "GoogleDriveConnector"]
