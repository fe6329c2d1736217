"""MediaWiki: pages of chosen namespaces, read with a bot password; readers are the accounts that may read."""

from connectors.mediawiki.connector import MediaWikiConnector

CONNECTOR = MediaWikiConnector

__all__ = ["CONNECTOR", "MediaWikiConnector"]
