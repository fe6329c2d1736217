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
    way and `latest` the day whose beginning it has reached; `done` are finished. `full_at` is when the last full pass began. `whole` are the channels whose whole history was read
    once: one that the app has just joined is read from its beginning."""

    full: bool
    began: float
    oldest: float
    done: frozenset[str] = frozenset()
    channel: str = ""
    latest: float = 0.0
    full_at: float = 0.0
    whole: frozenset[str] = frozenset()
    settings: str = ""

    def at(self, channel: str, latest: float) -> Pass:
        return replace(self, channel=channel, latest=latest)

    def finished(self, channel: str) -> Pass:
        done, whole = self.done | {channel}, self.whole | {channel}
        return replace(self, done=done, whole=whole, channel="", latest=0.0)

    def since(self, channel: str, first: float) -> float:
        """Where to begin in a channel; `first` is the oldest that is wanted at all."""
        return self.oldest if channel in self.whole else first

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
            **self._kept,
        }

    @property
    def end_state(self) -> dict[str, Any]:
        full_at = self.began if self.full else self.full_at
        return {"running": False, "full_at": full_at, **self._kept}

    @property
    def _kept(self) -> dict[str, Any]:
        return {"whole": sorted(self.whole), "settings": self.settings}


@dataclass(frozen=True, slots=True)
class Start:
    """Decides how a call of `changes` begins."""

    settings: SlackSettings
    now: float
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> float:
        """Unix time of the oldest day that the settings want."""
        days = self.settings.since_days
        return day_start(self.now - days * DAY_S) if days else 0.0

    def begin(self, *, anything_known: bool) -> Pass:
        """A pass that was cut off goes on. Without known documents, or with other settings, everything is read."""
        chosen = self.settings.model_dump_json()
        same = anything_known and self.state.get("settings") == chosen
        if same and self.state.get("running"):
            return self._resumed(chosen)
        full_at = float(self.state.get("full_at") or 0.0)
        due = self.now - full_at >= self.settings.full_hours * 3600
        recent = max(self.first, day_start(self.now - self.settings.recent_days * DAY_S))
        full = due or not same
        whole = frozenset(self.state.get("whole") or ()) if same else frozenset()
        return Pass(
            full=full,
            began=self.now,
            oldest=self.first if full else recent,
            full_at=full_at,
            whole=whole,
            settings=chosen,
        )

    def _resumed(self, chosen: str) -> Pass:
        return Pass(
            full=bool(self.state.get("full")),
            began=float(self.state.get("began") or 0.0),
            oldest=float(self.state.get("oldest") or 0.0),
            done=frozenset(self.state.get("done") or ()),
            channel=str(self.state.get("channel") or ""),
            latest=float(self.state.get("latest") or 0.0),
            full_at=float(self.state.get("full_at") or 0.0),
            whole=frozenset(self.state.get("whole") or ()),
            settings=chosen,
        )


def day_start(at: float) -> float:
    day = datetime.fromtimestamp(max(at, 0.0), UTC).date()
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def stamp(at: float) -> str:
    """Unix time as Slack writes it; empty for the beginning of time."""
    return f"{at:.6f}" if at > 0 else ""
