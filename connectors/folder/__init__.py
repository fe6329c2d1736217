"""Files in a folder, with readers from `access.toml` beside them."""

from connectors.folder.connector import FolderConnector

CONNECTOR = FolderConnector

__all__ = ["CONNECTOR", "FolderConnector"]
