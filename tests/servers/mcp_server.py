"""A real MCP server for tests, written with the library's server class. Run as a program: over stdio, or on a port of
127.0.0.1. Its world is a JSON file that is read anew at each call, so that a test changes the server by writing the file.

    {"page": 2, "resources": [{"uri", "name", "mime", "text" or "blob" or "parts", "modified", "size", "fault"}]}

`fault`: error, hang, die. `listing`: hang, round (the cursor never ends).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError


def make(world_file: Path) -> Server[Any]:
    def world() -> dict[str, Any]:
        return dict(json.loads(world_file.read_text()))

    async def list_resources(
        _: object, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        now = world()
        if now.get("listing") == "hang":
            await anyio.sleep(60)
        size, cursor = now.get("page", 2), (params.cursor if params else None) or "0"
        if not cursor.isdigit():
            raise MCPError(types.INVALID_PARAMS, "bad cursor")
        start = int(cursor)
        rows = now["resources"]
        end = start + size
        following = str(end) if end < len(rows) else None
        if now.get("listing") == "round":
            following = "0"
        found = [resource(row) for row in rows[start:end]]
        return types.ListResourcesResult(resources=found, next_cursor=following)

    async def read_resource(
        _: object, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        row = next((row for row in world()["resources"] if row["uri"] == params.uri), None)
        fault = (row or {}).get("fault")
        if row is None or fault == "error":
            secret = os.environ.get("API_TOKEN", "")
            raise MCPError(types.INVALID_PARAMS, f"Resource not found: {params.uri} {secret}")
        if fault == "hang":
            await anyio.sleep(60)
        if fault == "die":
            os._exit(3)
        if fault == "environment":
            text = json.dumps(dict(os.environ))
            return types.ReadResourceResult(contents=[text_of(row, text)])
        parts = row.get("parts") or [row]
        return types.ReadResourceResult(contents=[content(row, part) for part in parts])

    return Server("Notes", on_list_resources=list_resources, on_read_resource=read_resource)


def resource(row: dict[str, Any]) -> types.Resource:
    modified = row.get("modified")
    return types.Resource(
        uri=row["uri"],
        name=row.get("name", row["uri"]),
        mime_type=row.get("mime"),
        size=row.get("size"),
        annotations=types.Annotations(last_modified=modified) if modified else None,
    )


def content(
    row: dict[str, Any], part: dict[str, Any]
) -> types.TextResourceContents | types.BlobResourceContents:
    if "blob" in part:
        return types.BlobResourceContents(
            uri=row["uri"], mime_type=row.get("mime"), blob=part["blob"]
        )
    return text_of(row, part["text"])


def text_of(row: dict[str, Any], text: str) -> types.TextResourceContents:
    return types.TextResourceContents(uri=row["uri"], mime_type=row.get("mime"), text=text)


async def over_stdio(server: Server[Any]) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def over_http(server: Server[Any], port: int, token: str) -> None:
    import uvicorn
    from mcp.server.auth.provider import AccessToken
    from mcp.server.auth.settings import AuthSettings

    class OneToken:
        async def verify_token(self, given: str) -> AccessToken | None:
            return AccessToken(token=given, client_id="t", scopes=[]) if given == token else None

    address = f"http://127.0.0.1:{port}"
    auth = AuthSettings.model_validate(
        {"issuer_url": address, "resource_server_url": f"{address}/mcp"}
    )
    app = server.streamable_http_app(
        auth=auth if token else None, token_verifier=OneToken() if token else None
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("world", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--token", default="")
    arguments = parser.parse_args()
    made = make(arguments.world)
    if arguments.port:
        over_http(made, arguments.port, arguments.token)
    else:
        anyio.run(over_stdio, made)
