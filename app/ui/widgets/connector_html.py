"""A connector's state in a dot and a word; the list, checks, dry runs, failures, previews and changes of readers as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import groupby

from app.db.tables import ReaderChangeRow, SyncFailureRow
from app.knowledge.sync import ConnectorKind, ConnectorStatus, Preview
from app.knowledge.sync.trial import DryRun
from app.ui.widgets.page import status
from app.ui.widgets.receipt_html import class_tag
from app.ui.widgets.words import permission, text, time_html
from connectors.contract import Check, Outcome

GRACE = timedelta(minutes=5)
CHECK_DOTS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.INDETERMINATE: "amber"}
SHOWN_PRINCIPALS = 4


def state_of(connector: ConnectorStatus, now: datetime) -> tuple[str, str, str]:
    """Colour, word, and a sentence on what it means."""
    run = connector.run
    if connector.status == "deleting":
        return "grey", "being removed", "Its documents are hidden already and go in the background."
    if connector.status == "paused":
        return (
            "grey",
            "paused",
            "Nothing is synced. What was found stays until its permissions are too old.",
        )
    if connector.syncing:
        if connector.last_sync_at is None:
            return "grey", "first sync", "Its first sync is under way."
        return "grey", "syncing", "A sync is under way."
    if connector.status == "held" and run is not None:
        return "amber", "waiting for you", f"{run.error} {run.fix}".strip()
    if run is not None and run.status == "failed":
        return "red", "needs you", f"{run.error} {run.fix}".strip()
    if connector.stale(now):
        return (
            "red",
            "withheld",
            "Who may read its documents was not confirmed in time, so nobody is shown them. The next sync that works brings them back.",
        )
    if connector.status == "failing":
        return (
            "red",
            "needs you",
            "Its permissions or groups cannot be read. See the history below.",
        )
    if connector.last_sync_at is None:
        return "grey", "scheduled", "Its first sync starts within a minute."
    if connector.next_sync_at is not None and connector.next_sync_at < now - GRACE:
        return "amber", "late", "Its sync should have started by now."
    if connector.failures:
        return "amber", "partly", "Some documents failed at the last sync; the rest is up to date."
    return "green", "up to date", "Everything was read at the last sync."


def table(
    connectors: Sequence[ConnectorStatus],
    kinds: Mapping[str, ConnectorKind],
    now: datetime,
    zone: tzinfo,
) -> str:
    """Grouped by source."""

    def source(connector: ConnectorStatus) -> str:
        kind = kinds.get(connector.kind)
        return kind.title if kind else f"{connector.kind} (not installed)"

    ordered = sorted(connectors, key=lambda c: (source(c).lower(), c.name.lower()))
    rows = "".join(
        f'<tr><th colspan="6" scope="rowgroup">{text(title)}</th></tr>'
        + "".join(_row(connector, now, zone) for connector in group)
        for title, group in groupby(ordered, key=source)
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Name</th><th>Status</th><th>Last sync</th>'
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
        f"{text(connector.name)}</a></td>"
        f"<td>{status(colour, word)}</td><td>{last}</td><td>{confirmed}</td>"
        f"<td class='sb-n'>{connector.documents:,}</td><td class='sb-n'>{connector.failures:,}</td></tr>"
    )


def check_html(check: Check) -> str:
    return (
        f'<div class="sb-note"><span class="sb-dot sb-{CHECK_DOTS[check.outcome]}"></span>'
        f"<div><b>{text(check.name.capitalize())}: {check.outcome.value}.</b> {text(check.message)} "
        f"{text(check.fix)}</div></div>"
    )


def dry_run_html(found: DryRun) -> str:
    """`+12 added ~3 changed -1 removed`, the first titles with their readers, and what failed."""
    more = "" if found.complete else " The look was cut short: there is more."
    hidden = f" {found.hidden:,} would be readable by nobody." if found.hidden else ""
    held = f" <b>{text(found.held)}</b>" if found.held else ""
    head = (
        f'<div class="sb-note"><span class="sb-dot sb-grey"></span><div><b>+{found.added:,} added, '
        f"~{found.changed:,} changed, −{found.removed:,} removed</b>, {found.unchanged:,} unchanged, "
        f"{found.failed:,} failed.{hidden}{more}{held}</div></div>"
    )
    rows = "".join(
        f"<tr><td>{text(document.title)}<small>{text(document.change)}</small></td>"
        f"<td>{text(', '.join(document.readers) or 'nobody')}</td>"
        f"<td>{text(document.data_class)}</td></tr>"
        for document in found.first
    )
    listed = (
        '<div class="sb-table"><table><thead><tr><th>The first documents</th><th>Who could read it</th>'
        f"<th>Data class</th></tr></thead><tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    failed = "".join(
        f'<div class="sb-note"><span class="sb-dot sb-amber"></span><div><b>{text(f.name)}</b> '
        f"{text(f.cause)} {text(f.fix)}</div></div>"
        for f in found.failures
    )
    return head + listed + failed


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


def changes_table(changes: Sequence[ReaderChangeRow], zone: tzinfo) -> str:
    """Who gained and who lost sight of what."""
    rows = "".join(
        f"<tr><td>{text(change.title)}</td><td>{_principals(change.gained)}</td>"
        f"<td>{_principals(change.lost)}</td><td>{time_html(change.at, zone)}</td></tr>"
        for change in changes
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Document</th><th>May read it now</th>'
        f"<th>May no longer</th><th>When</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _principals(principals: Sequence[str]) -> str:
    shown = ", ".join(text(permission(p)) for p in principals[:SHOWN_PRINCIPALS])
    left = len(principals) - SHOWN_PRINCIPALS
    return f"{shown} and {left:,} more" if left > 0 else shown or "–"


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
