"""Work that outlives its process: DBOS on SQLite beside the database, or on the same PostgreSQL. Only this module imports dbos.

A function is registered by name, started with a workflow id and a JSON argument, and runs to its end even when the process
is killed half-way: the next one starts it again from its beginning. So it must be harmless to repeat: look at what is
already done, then do the rest. One that raises is recorded as failed and not tried again.

Every process has an executor id of its own and holds a lock with that name while it lives (locks.py). A free lock means a
dead owner and its work is taken over at once, without a clock or a heartbeat.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import structlog
from sqlalchemy import Engine, create_engine, event

from app.db.engine import Database
from app.domain import Json
from app.durable.locks import AdvisoryLocks, FileLocks, Locks
from app.errors import ConfigurationError, SwitchboardError
from app.settings import Settings

if TYPE_CHECKING:
    from dbos import DBOSConfig

log = structlog.get_logger(__name__)

Function = Callable[[Json], None]
QueueName = Literal["default", "sync"]

APPLICATION = "switchboard"
VERSION = "1"
"""Pinned: DBOS resumes only work of the same version, and by default the version is a hash of the source."""

SYNC_LIMIT = 2
"""Syncs that one process runs side by side."""
SYNC_POLL_S = 0.5
THREADS = 16
"""Functions of the default queue that one process runs side by side; the others wait."""
SWEEP_S = 30.0
"""Pause between two looks for processes that died meanwhile."""

_process = threading.Lock()  # DBOS is one for each process; whoever launched holds this


class Durable:
    """Register functions, launch once, then start work from any thread."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._folder = settings.data_dir / "durable"
        self._database = database
        self._functions: dict[str, Function] = {}
        self._after_launch: list[Callable[[], None]] = []
        self._workflows: dict[str, Callable[[Json], None]] = {}
        self._executor_id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._locks: Locks | None = None
        self._engine: Engine | None = None
        self._stopping = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._taking_over = threading.Lock()
        self._idle = threading.Condition()
        self._active = 0

    @property
    def launched(self) -> bool:
        return self._locks is not None

    def register(self, name: str, function: Function) -> None:
        """`function` takes the JSON argument and may be run again. Raises ConfigurationError after launch or for a taken name."""
        if self.launched or name in self._functions:
            raise ConfigurationError(
                f"The durable function '{name}' is registered twice or too late.",
                fix="Register each function once, before launch.",
            )
        self._functions[name] = function

    def after_launch(self, callback: Callable[[], None]) -> None:
        """For work that was recorded but not yet started when its process died: `callback` starts it."""
        self._after_launch.append(callback)

    def launch(self) -> None:
        """Starts DBOS and takes over the unfinished work of dead processes. About 0.5 s, most of it the import.

        Raises ConfigurationError when this process has launched already.
        """
        if not _process.acquire(blocking=False):
            raise ConfigurationError(
                "Durable work is already running in this process.", fix="Shut the first one down."
            )
        try:
            # In a thread of its own: DBOS refuses these calls where an event loop runs.
            with ThreadPoolExecutor(1, thread_name_prefix="durable-launch") as thread:
                thread.submit(self._launch).result()
        except BaseException:
            self._dispose()
            _process.release()
            raise

    def _launch(self) -> None:
        from dbos import DBOS

        _quiet()
        self._locks = self._make_locks()
        self._locks.hold(self._executor_id)
        DBOS(config=self._config())
        self._workflows = {
            name: DBOS.workflow(name=name)(self._guarded(name, function))
            for name, function in self._functions.items()
        }
        DBOS.launch()
        DBOS.register_queue("sync", worker_concurrency=SYNC_LIMIT, polling_interval_sec=SYNC_POLL_S)
        self._stopping.clear()
        self.take_over()
        for callback in self._after_launch:
            callback()
        self._sweeper = threading.Thread(target=self._sweep, name="durable-sweeper", daemon=True)
        self._sweeper.start()

    def start(
        self, name: str, workflow_id: str, argument: Json, queue: QueueName = "default"
    ) -> None:
        """Runs `name` in the background, once for each workflow id however often it is called.

        Returns when the intent is on disk (about 1 ms). `default` begins at once, `sync` when one of its two places is free.
        Raises ConfigurationError before launch or for a name that is not registered.
        """
        workflow = self._workflows.get(name)
        if not self.launched or workflow is None:
            raise ConfigurationError(
                f"The durable function '{name}' cannot be started.",
                fix="Register it and launch first.",
            )
        from dbos import DBOS, SetWorkflowID

        with SetWorkflowID(workflow_id):
            if queue == "sync":
                DBOS.enqueue_workflow("sync", workflow, argument)
            else:
                DBOS.start_workflow(workflow, argument)

    def status(self, workflow_id: str) -> str | None:
        """DBOS's word for it: ENQUEUED, PENDING, SUCCESS, ERROR…; None when it was never started. Not for event loops."""
        from dbos import DBOS

        found = DBOS.get_workflow_status(workflow_id)
        return found.status if found else None

    def shutdown(self, drain_s: float = 5.0) -> None:
        """Waits up to `drain_s` seconds for running functions; what is left is resumed by the next process."""
        if not self.launched:
            return
        from dbos import DBOS

        self._stopping.set()
        deadline = monotonic() + drain_s
        with self._idle:
            while self._active and (left := deadline - monotonic()) > 0:
                self._idle.wait(left)
        DBOS.destroy(destroy_registry=True)
        if self._sweeper is not None:
            self._sweeper.join(timeout=5)
        self._dispose()
        _process.release()

    def _guarded(self, name: str, function: Function) -> Function:
        """Counts the run, for shutdown, and logs a failure in one line."""

        def run(argument: Json) -> None:
            with self._idle:
                self._active += 1
            try:
                function(argument)
            except SwitchboardError as error:
                log.error("durable work failed", function=name, cause=error.message)
                raise
            except Exception as error:
                log.error("durable work broke", function=name, cause=type(error).__name__)
                raise
            finally:
                with self._idle:
                    self._active -= 1
                    self._idle.notify_all()

        return run

    def _config(self) -> DBOSConfig:
        from dbos import DBOSPortableJSONSerializer

        config: DBOSConfig = {
            "name": APPLICATION,
            "application_version": VERSION,
            "executor_id": self._executor_id,
            "serializer": DBOSPortableJSONSerializer(),  # the default would pickle
            "log_level": "WARNING",
            "max_executor_threads": THREADS,
            "scheduler_polling_interval_sec": 3600.0,  # no DBOS schedules are used
        }
        if self._database.is_sqlite:
            self._engine = _sqlite(self._folder.parent / "durable.sqlite")
            config["system_database_engine"] = self._engine
        else:
            config["system_database_url"] = self._database.url
            config["sys_db_pool_size"] = 8
        return config

    def _make_locks(self) -> Locks:
        if self._database.is_sqlite:
            return FileLocks(self._folder)
        return AdvisoryLocks(self._database.engine, APPLICATION)

    def _sweep(self) -> None:
        while not self._stopping.wait(SWEEP_S):
            try:
                self.take_over()
            except Exception as error:
                # The server may be restarting; the next round tries again.
                log.warning("durable sweep failed", cause=type(error).__name__)

    def take_over(self) -> None:
        """Resumes what dead processes left; done at launch and every 30 s. Not for event loops.

        The dead one's lock is held meanwhile, so that only one process does.
        """
        with self._taking_over:
            self._resume_orphans()

    def _resume_orphans(self) -> None:
        from dbos import DBOS

        if self._locks is None:
            return
        self._locks.renew(self._executor_id)
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        owners = {flow.executor_id for flow in pending if flow.executor_id} - {self._executor_id}
        for owner in sorted(owners):
            if self._locks.hold(owner):
                # Private, but the only call that keeps the queue and counts the attempts of a crash loop.
                DBOS._recover_pending_workflows([owner])
                self._locks.release(owner)
                log.info("took over unfinished work", owner=owner)

    def _dispose(self) -> None:
        if self._locks is not None:
            self._locks.release(self._executor_id)
            self._locks.close()
            self._locks = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _sqlite(path: Path) -> Engine:
    """As DBOS makes it, with the write-ahead log that it leaves off: a start costs 1 ms instead of two disk flushes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False},
        pool_size=8,
        max_overflow=24,
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=30000",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _quiet() -> None:
    """DBOS adds a console handler of its own unless the logger has one, and prints the trace of what we log in one line."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.addFilter(_without_trace)


def _without_trace(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return not record.getMessage().startswith("Exception encountered in background workflow")
