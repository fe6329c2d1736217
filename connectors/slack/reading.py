"""One pass over channels: which part of history to read, and where it stands, so that it resumes after any checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from connectors.slack.settings import SlackSettings

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Pass:
    """`full` reads everything, else the recent days. `oldest` is Unix time at a day's beginning. `channel` is the one under
    way and `latest` the day whose beginning it has reached; `done` are finished. `full_at` is when the last full pass began."""

    full: bool
    began: float
    oldest: float
    done: frozenset[str] = frozenset()
    channel: str = ""
    latest: float = 0.0
    full_at: float = 0.0

    def at(self, channel: str, latest: float) -> Pass:
        return replace(self, channel=channel, latest=latest)

    def finished(self, channel: str) -> Pass:
        return replace(self, done=self.done | {channel}, channel="", latest=0.0)

    @property
    def state(self) -> dict[str, Any]:
        return {
            "running": True,
            "full": self.full,
            "began": self.began,
            "oldest": self.oldest,
            "done": sorted(self.done),
            "channel": self.channel,
            "latest": self.latest,
            "full_at": self.full_at,
        }

    @property
    def end_state(self) -> dict[str, Any]:
        return {"running": False, "full_at": self.began if self.full else self.full_at}


@dataclass(frozen=True, slots=True)
class Start:
    """Decides how a call of `changes` begins."""

    settings: SlackSettings
    now: float
    state: Mapping[str, Any] = field(default_factory=dict)

    def begin(self, *, anything_known: bool) -> Pass:
        """A pass that was cut off goes on; without known documents everything is read."""
        if self.state.get("running") and anything_known:
            return self._resumed()
        full_at = float(self.state.get("full_at") or 0.0)
        due = self.now - full_at >= self.settings.full_hours * 3600
        full = due or not anything_known
        days = self.settings.since_days if full else self.settings.recent_days
        if self.settings.since_days and not full:
            days = min(days, self.settings.since_days)
        return Pass(
            full, self.now, day_start(self.now - days * DAY_S) if days else 0.0, full_at=full_at
        )

    def _resumed(self) -> Pass:
        return Pass(
            full=bool(self.state.get("full")),
            began=float(self.state.get("began") or 0.0),
            oldest=float(self.state.get("oldest") or 0.0),
            done=frozenset(self.state.get("done") or ()),
            channel=str(self.state.get("channel") or ""),
            latest=float(self.state.get("latest") or 0.0),
            full_at=float(self.state.get("full_at") or 0.0),
        )


def day_start(at: float) -> float:
    day = datetime.fromtimestamp(max(at, 0.0), UTC).date()
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def stamp(at: float) -> str:
    """Unix time as Slack writes it; empty for the beginning of time."""
    return f"{at:.6f}" if at > 0 else ""
