"""Rows of a database: a query for each kind of document, readers from a column. PostgreSQL and SQLite."""

from connectors.sql.connector import SqlConnector

CONNECTOR = SqlConnector

__all__ = ["CONNECTOR", "SqlConnector"]
