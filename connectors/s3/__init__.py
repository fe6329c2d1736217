"""Objects in S3-compatible storage, with readers by prefix or from `access.toml` objects."""

from connectors.s3.connector import S3Connector

CONNECTOR = S3Connector

__all__ = ["CONNECTOR", "S3Connector"]
