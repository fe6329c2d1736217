"""Numbers for Prometheus. Turns of the page and of the API alike are counted as they end; stored things when asked."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import col, func, select

from app.chat import LiveTurn, TurnRunner
from app.db import Database
from app.db.tables import SyncRunRow
from app.domain import Failed, Finished, Receipt, Stopped
from app.routing import Catalogue

FIRST_TOKEN_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)


class Metrics:
    """One registry an app, so that tests and a second app of the process do not share counts."""

    def __init__(self, database: Database, turns: TurnRunner, catalogue: Catalogue) -> None:
        self._registry = CollectorRegistry()
        self._turns = Counter(
            "switchboard_turns", "Answers that ended.", ["status"], registry=self._registry
        )
        self._first_token = Histogram(
            "switchboard_first_token_seconds",
            "From the question to the first word.",
            buckets=FIRST_TOKEN_S,
            registry=self._registry,
        )
        self._model_errors = Counter(
            "switchboard_model_errors",
            "Model calls that failed, the ones that another model made good too.",
            ["model"],
            registry=self._registry,
        )
        self._requests = Counter(
            "switchboard_http_requests",
            "Requests to the API.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        active = Gauge("switchboard_active_turns", "Answers in progress.", registry=self._registry)
        active.set_function(lambda: turns.active)
        self._registry.register(_SyncRuns(database))
        self._registry.register(_ModelHealth(catalogue))
        turns.listen(self.turn_over)

    def turn_over(self, live: LiveTurn) -> None:
        """Called on the event loop with each turn that has ended."""
        end = live.events[-1] if live.events else None
        match end:
            case Finished(receipt=receipt):
                self._count("finished", receipt)
            case Stopped(receipt=receipt):
                self._count("stopped", receipt)
            case Failed(receipt=receipt):
                self._count("failed", receipt)
            case _:
                self._turns.labels("lost").inc()

    def request_over(self, route: str, method: str, status: int) -> None:
        self._requests.labels(route, method, str(status)).inc()

    def text(self) -> bytes:
        """Prometheus' text format. Asks the database, so not on the event loop."""
        return generate_latest(self._registry)

    def _count(self, status: str, receipt: Receipt) -> None:
        self._turns.labels(status).inc()
        if receipt.first_token_ms is not None:
            self._first_token.observe(receipt.first_token_ms / 1000)
        for attempt in receipt.attempts:
            if not attempt.allowed:
                self._model_errors.labels(attempt.model).inc()


class _SyncRuns(Collector):
    """Syncs happen in any process and are counted where they are stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("switchboard_sync_runs", "Syncs on record.", labels=["status"])
        with self._database.read() as session:
            for status, count in session.exec(
                select(SyncRunRow.status, func.count()).group_by(col(SyncRunRow.status))
            ):
                family.add_metric([status], count)
        yield family


class _ModelHealth(Collector):
    """How this process finds each model at the moment."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        left_out = GaugeMetricFamily(
            "switchboard_model_left_out",
            "1 while a model's circuit breaker is open or half-open.",
            labels=["model"],
        )
        failures = GaugeMetricFamily(
            "switchboard_model_failure_ratio",
            "Share of a model's last 50 calls that failed.",
            labels=["model"],
        )
        first_token = GaugeMetricFamily(
            "switchboard_model_first_token_seconds",
            "From asking a model to its first token, over its last 50 answers.",
            labels=["model", "quantile"],
        )
        for card in self._catalogue.cards():
            health = self._catalogue.health.of(card.id)
            left_out.add_metric([card.id], health.state in ("open", "half-open"))
            if health.calls:
                failures.add_metric([card.id], health.failed / health.calls)
            if health.first_token_p50_s is not None and health.first_token_p95_s is not None:
                first_token.add_metric([card.id, "0.5"], health.first_token_p50_s)
                first_token.add_metric([card.id, "0.95"], health.first_token_p95_s)
        return [left_out, failures, first_token]
