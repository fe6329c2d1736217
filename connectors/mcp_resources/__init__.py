"""Resources of any MCP server as documents, with readers that the admin states."""

from connectors.mcp_resources.connector import McpResources

CONNECTOR = McpResources

__all__ = ["CONNECTOR", "McpResources"]
