"""A connector's runs: what one is doing now and how long it will take, and the histories of its three clocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from app.db.tables import SyncRunRow
from app.ui.widgets.page import status
from app.ui.widgets.words import text, time_html

RUN_DOTS = {
    "finished": "green",
    "failed": "red",
    "held": "amber",
    "cancelled": "grey",
    "interrupted": "amber",
}
COUNTED = (
    ("added", "added"),
    ("changed", "changed"),
    ("access", "with new readers"),
    ("removed", "removed"),
    ("failed", "failed"),
)
NOUNS = {"content": "seen", "permissions": "confirmed", "groups": "groups"}
STAGES = ("queue", "fetch", "parse", "embed", "store", "index")


def progress_html(run: SyncRunRow, now: datetime) -> str:
    """The stage, how far it is, how fast, and how long it will take where that can be told."""
    parts = [run.stage or "Starting"]
    if run.counts:
        parts.append(counted(run))
    done, total = int(run.counts.get("done", 0)), int(run.counts.get("total", 0))
    began = run.began_at or run.started_at
    seconds = max(0.001, (now - began).total_seconds())
    if done and seconds > 1:
        parts.append(f"{done / seconds:.1f} a second")
    if total > done > 0:
        parts.append(f"about {_span(seconds / done * (total - done))} left")
    bar = ""
    if total and done:
        share = min(100, round(100 * done / total))
        bar = (
            f'<div class="sb-bar" role="progressbar" aria-valuenow="{share}" aria-valuemin="0" '
            f'aria-valuemax="100" aria-label="Progress of the sync"><i style="width:{share}%"></i></div>'
        )
    return (
        f'<div class="sb-stage" role="status"><span class="sb-pulse"></span>'
        f"<span>{text(' · '.join(parts))}</span></div>{bar}"
    )


def runs_table(runs: Sequence[SyncRunRow], zone: tzinfo) -> str:
    rows = "".join(
        f"<tr><td>{time_html(run.started_at, zone)}</td>"
        f"<td>{status(RUN_DOTS.get(run.status, 'grey'), run.status)}{_mode(run)}</td>"
        f"<td>{text(counted(run))}{_error(run)}</td>"
        f"<td class='sb-n'>{_took(run)}{_stages(run)}</td></tr>"
        for run in runs
    )
    return (
        '<div class="sb-table"><table><thead><tr><th>Started</th><th>Outcome</th><th>What changed</th>'
        f'<th class="sb-n">Took</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def counted(run: SyncRunRow) -> str:
    """`66 seen: 2 changed, 1 failed`."""
    seen = int(run.counts.get("seen", 0))
    words = dict(COUNTED)
    if run.scope == "groups":
        words = {"changed": "people with other rights"}
    parts = [f"{run.counts[key]:,} {word}" for key, word in words.items() if run.counts.get(key)]
    told = ", ".join(parts) or "nothing new"
    return f"{seen:,} {NOUNS.get(run.scope, 'seen')}: {told}" if seen else ", ".join(parts) or "–"


def _error(run: SyncRunRow) -> str:
    if not run.error:
        return ""
    detail = (
        f"<details><summary>Technical detail</summary><code>{text(run.detail)}</code></details>"
        if run.detail
        else ""
    )
    return f"<small>{text(run.error)} {text(run.fix)}</small>{detail}"


def _mode(run: SyncRunRow) -> str:
    words = {"full": "everything anew", "refetch": "single documents"}.get(run.mode, "")
    return f"<small>{words}</small>" if words else ""


def _stages(run: SyncRunRow) -> str:
    parts = [
        f"{name} {run.timings[name]:.1f}" for name in STAGES if run.timings.get(name, 0) >= 0.1
    ]
    return f"<small>{text(' · '.join(parts))}</small>" if parts else ""


def _took(run: SyncRunRow) -> str:
    if run.finished_at is None:
        return "–"
    return _span((run.finished_at - (run.began_at or run.started_at)).total_seconds())


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
