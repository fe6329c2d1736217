"""When what is due: content, permissions and groups of a connector keep their own clocks."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime, timedelta

from app.db.tables import ConnectorRow, SyncRunRow
from connectors.contract import Capability

CONTENT, PERMISSIONS, GROUPS = "content", "permissions", "groups"
SCOPES = (GROUPS, PERMISSIONS, CONTENT)
ACTIVE = ("queued", "running", "cancelling")
RETRY_S = 300
AT_REST = {"paused", "deleting"}


def scopes(capabilities: Set[Capability]) -> tuple[str, ...]:
    """Those that a connector has, in the order in which they are best done."""
    found = [GROUPS] if Capability.GROUPS in capabilities else []
    if capabilities & {Capability.ACCESS, Capability.LISTING}:
        found.append(PERMISSIONS)
    return (*found, CONTENT)


def every_s(row: ConnectorRow, scope: str) -> int:
    if scope == CONTENT:
        return row.sync_every_s
    return row.permissions_every_s if scope == PERMISSIONS else row.groups_every_s


def next_due(row: ConnectorRow, scope: str, run: SyncRunRow | None) -> datetime | None:
    """`run` is the scope's newest. None while it rests, works, waits for an admin, or has no documents yet."""
    if row.status in AT_REST or (run is not None and run.status in ACTIVE):
        return None
    if run is not None and run.status == "held" and scope == CONTENT:
        return None
    if run is None:
        if scope == CONTENT:
            return row.created_at
        # The first content run looks after groups and permissions itself.
        return None if row.last_sync_at is None else row.last_sync_at
    if run.status == "interrupted" and run.finished_at is not None:
        return run.finished_at
    pause_s = every_s(row, scope)
    if run.status == "failed":
        pause_s = min(pause_s, RETRY_S)
    return run.started_at + timedelta(seconds=pause_s)


def due_between(row: ConnectorRow, scope: str, run: SyncRunRow | None, at: datetime) -> bool:
    """Whether a scope's clock has run out in the middle of a long content run."""
    if scope == CONTENT or (run is not None and run.status in ACTIVE):
        return False
    if run is None:
        return scope == PERMISSIONS and at >= row.created_at + timedelta(
            seconds=row.permissions_every_s
        )
    return at >= run.started_at + timedelta(seconds=every_s(row, scope))
