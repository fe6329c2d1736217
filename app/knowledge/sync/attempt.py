"""One attempt at a run: the work of its scope, and in what words it ended."""

from __future__ import annotations

import structlog

from app.db.tables import ConnectorRow, SyncRunRow
from app.domain import Json
from app.errors import SwitchboardError
from app.knowledge.sync import clocks, machine
from app.knowledge.sync.access import GroupsRun, PermissionsRun
from app.knowledge.sync.batch import Cancelled, Stopping, TooManyRemovals
from app.knowledge.sync.clocks import GROUPS
from app.knowledge.sync.content import ContentRun
from app.knowledge.sync.engine import Engine, Progress
from app.knowledge.sync.workshop import Workshop
from connectors import http
from connectors.contract import Connector, SourceFault

log = structlog.get_logger(__name__)
INTERRUPTED = ("Switchboard stopped during it.", "The next sync goes on where it stopped.")


def attempt(
    engine: Engine, workshop: Workshop, run: SyncRunRow, row: ConnectorRow, requested: list[str]
) -> tuple[str, Json | None, str, str, str]:
    """Status, counts (None: as the last batch wrote them), an error with its way out, and detail."""
    progress = Progress(engine, run.id, row)
    try:
        with workshop.connector(
            row, cancelled=progress.cancelled, progress=progress.told
        ) as connector:
            return "finished", _scope(engine, run, row, connector, progress, requested), "", "", ""
    except (Cancelled, http.Cancelled):
        if engine.stopping.is_set():
            return "interrupted", None, *INTERRUPTED, ""
        return "cancelled", None, "", "", ""
    except Stopping:
        return "interrupted", None, *INTERRUPTED, ""
    except TooManyRemovals as held:
        return "held", None, *_held_words(held), ""
    except (SourceFault, SwitchboardError) as error:
        return "failed", None, error.message, error.fix, _cause(error)
    except Exception as error:
        if (words := machine.told(error)) is not None:
            log.exception("sync could not be stored", connector=row.id, run=run.id)
            return "failed", None, *words, type(error).__name__
        # A connector is somebody's code: whatever it raises ends this run, in words, and nothing else.
        log.exception("sync broke", connector=row.id, run=run.id)
        cause = f"The connector broke ({type(error).__name__})."
        fix = "The detail is in the log; tell the connector's author."
        return "failed", None, cause, fix, _place(error)


def _scope(
    engine: Engine,
    run: SyncRunRow,
    row: ConnectorRow,
    connector: Connector,
    progress: Progress,
    requested: list[str],
) -> Json:
    if run.scope == GROUPS:
        return GroupsRun(engine, row, connector, progress).work()
    if run.scope == clocks.PERMISSIONS:
        return PermissionsRun(engine, run.id, row, connector, progress).work()
    ids = sorted({source_id for source_id in requested if source_id})
    if run.mode == "refetch" and not ids:
        return progress.result()
    return ContentRun(engine, run.id, row, connector, progress, run.mode, ids).work()


def _held_words(held: TooManyRemovals) -> tuple[str, str]:
    return (
        f"It would remove {held.removed} of {held.documents} documents, more than this connector may at once.",
        "Look at the source. If they are really gone, choose 'Remove them'; otherwise correct it and sync again.",
    )


def _cause(error: BaseException) -> str:
    """Types only: what libraries write may repeat a secret."""
    cause = error.__cause__
    return f"{type(error).__name__} from {type(cause).__name__}" if cause else type(error).__name__


def _place(error: BaseException) -> str:
    """Where it broke, without what was passed there."""
    trace, lines = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(lines[-4:]))
