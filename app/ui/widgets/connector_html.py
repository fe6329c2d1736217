"""A connector's state in a dot and a word, and its runs, failures and previews as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from app.db.tables import SyncFailureRow, SyncRunRow
from app.knowledge.sync import ConnectorStatus, Preview
from app.ui.widgets.page import status
from app.ui.widgets.receipt_html import class_tag
from app.ui.widgets.words import permission, text, time_html

GRACE = timedelta(minutes=5)
RUN_DOTS = {"finished": "green", "failed": "red", "cancelled": "grey", "interrupted": "amber"}
COUNTED = (
    ("added", "added"),
    ("changed", "changed"),
    ("access", "with new readers"),
    ("removed", "removed"),
    ("failed", "failed"),
)


def state_of(connector: ConnectorStatus, now: datetime) -> tuple[str, str, str]:
    """Colour, word, and a sentence on what it means."""
    if connector.status == "deleting":
        return "grey", "being removed", "Its documents are hidden already and go in the background."
    if connector.status == "paused":
        return (
            "grey",
            "paused",
            "Nothing is synced. What was found stays until its permissions are too old.",
        )
    if connector.syncing:
        return "grey", "syncing", "A sync is under way."
    if connector.run is not None and connector.run.status == "failed":
        return "red", "needs you", f"{connector.run.error} {connector.run.fix}".strip()
    if connector.last_sync_at is None:
        return "grey", "waiting", "Its first sync starts within a minute."
    if connector.next_sync_at is not None and connector.next_sync_at < now - GRACE:
        return "amber", "late", "Its sync should have started by now."
    if connector.failures:
        return "amber", "partly", "Some documents failed at the last sync; the rest is up to date."
    return "green", "up to date", "Everything was read at the last sync."


def table(connectors: Sequence[ConnectorStatus], now: datetime, zone: tzinfo) -> str:
    rows = "".join(_row(connector, now, zone) for connector in connectors)
    return (
        '<div class="sb-table"><table><thead><tr><th>Source</th><th>Status</th><th>Last sync</th>'
        '<th>Permissions confirmed</th><th class="sb-n">Documents</th><th class="sb-n">Failures</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(connector: ConnectorStatus, now: datetime, zone: tzinfo) -> str:
    colour, word, _ = state_of(connector, now)
    key = text(connector.id)
    last = time_html(connector.last_sync_at, zone) if connector.last_sync_at else "never"
    confirmed = time_html(connector.permissions_at, zone) if connector.permissions_at else "–"
    return (
        f'<tr><td><a href="/connectors?id={key}" data-sb="go:admin_connectors:{key}">'
        f"{text(connector.name)}</a><small>{text(connector.kind)}</small></td>"
        f"<td>{status(colour, word)}</td><td>{last}</td><td>{confirmed}</td>"
        f"<td class='sb-n'>{connector.documents:,}</td><td class='sb-n'>{connector.failures:,}</td></tr>"
    )


def failures_table(failures: Sequence[SyncFailureRow], zone: tzinfo) -> str:
    rows = "".join(
        f"<tr><td>{text(f.name)}</td><td>{text(f.cause)}<small>{text(f.fix)}</small></td>"
        f"<td>{time_html(f.at, zone)}</td></tr>"
        for f in failures
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Document</th><th>What went wrong, and what to do</th>'
        f"<th>When</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def runs_table(runs: Sequence[SyncRunRow], zone: tzinfo) -> str:
    rows = "".join(
        f"<tr><td>{time_html(run.started_at, zone)}</td>"
        f"<td>{status(RUN_DOTS.get(run.status, 'grey'), run.status)}</td>"
        f"<td>{text(counted(run))}{f'<small>{text(run.error)} {text(run.fix)}</small>' if run.error else ''}</td>"
        f"<td class='sb-n'>{_took(run)}</td></tr>"
        for run in runs
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Started</th><th>Outcome</th><th>What changed</th>'
        f'<th class="sb-n">Took</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def counted(run: SyncRunRow) -> str:
    """`66 seen: 2 changed, 1 failed`."""
    seen = int(run.counts.get("seen", 0))
    parts = [f"{run.counts[key]:,} {word}" for key, word in COUNTED if run.counts.get(key)]
    return (
        f"{seen:,} seen: {', '.join(parts) or 'nothing new'}" if seen else ", ".join(parts) or "–"
    )


def _took(run: SyncRunRow) -> str:
    if run.finished_at is None:
        return "–"
    seconds = (run.finished_at - run.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def preview_table(found: Sequence[Preview], email: str) -> str:
    rows = "".join(
        f"<tr><td>{text(item.title)}<small>{text(item.space)}</small></td>"
        f"<td>{class_tag(item.data_class)}</td>"
        f"<td>{_why(item, email)}</td></tr>"
        for item in found
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Document</th><th>Data class</th><th>Finds it?</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _why(item: Preview, email: str) -> str:
    if item.basis is None:
        return f"{status('grey', 'no')}<small>{text(item.reason)}</small>"
    words = permission(item.basis.principal, email).replace("with you", "with them")
    return f"{status('green', 'yes')}<small>as {text(words)}</small>"
