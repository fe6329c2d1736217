"""The two lighter clocks: who may read what, and who is in which group. Neither reads content, neither embeds."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import update
from sqlmodel import Session, col

from app.db.tables import ConnectorRow
from app.domain import Json
from app.knowledge.sync import store
from app.knowledge.sync.batch import Known, Removals, read_known
from app.knowledge.sync.engine import Engine, Progress
from app.knowledge.sync.permission import Permission
from connectors.contract import AccessChange, Capability, Checkpoint, Connector, Listed

AT_ONCE = 200


class PermissionsRun:
    """Takes changes of readers; when it ends, the source has confirmed the readers of every document."""

    def __init__(
        self,
        engine: Engine,
        run_id: str,
        row: ConnectorRow,
        connector: Connector,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._row = row
        self._connector = connector
        self._progress = progress
        with engine.database.read() as session:
            self._known = read_known(session, row.id)

    def work(self) -> Json:
        """Raises Cancelled, Stopping, TooManyRemovals, SourceFault."""
        began = self._engine.clock()
        if Capability.ACCESS in self._connector.capabilities:
            self._take_changes()
        else:
            self._take_listing()
        counts = self._progress.finish()
        with self._engine.database.write() as session:
            self._progress.write(session)
            session.execute(
                update(ConnectorRow)
                .where(col(ConnectorRow.id) == self._row.id)
                .values(permissions_at=began)
            )
        return counts

    def _take_changes(self) -> None:
        batch: list[AccessChange | Listed] = []
        for change in self._changes():
            if isinstance(change, Checkpoint):
                self._commit(batch, change)
                batch = []
            else:
                batch.append(change)
                if len(batch) >= AT_ONCE:
                    self._commit(batch)
                    batch = []
        self._commit(batch)

    def _changes(self) -> Iterator[AccessChange | Checkpoint]:
        with self._progress.stage("fetch"):
            changes = self._connector.access(dict(self._row.access_state))
        for change in changes:
            self._progress.go_on()
            yield change

    def _take_listing(self) -> None:
        listed: set[str] = set()
        batch: list[AccessChange | Listed] = []
        for line in self._connector.list_ids():
            self._progress.go_on()
            listed.add(line.id)
            batch.append(line)
            if len(batch) >= AT_ONCE:
                self._commit(batch)
                batch = []
        self._commit(batch)
        self._progress.finish()  # a listing that was cut off by a cancel is not complete
        self._remove(listed)

    def _remove(self, listed: set[str]) -> None:
        with self._engine.database.read() as session:
            known = read_known(session, self._row.id)
        # Only what was there before the listing began: a document that came meanwhile is not gone.
        gone = {s: k.document_id for s, k in known.items() if s in self._known and s not in listed}
        Removals(len(known), self._row.removal_share, self._row.removals_allowed).take(len(gone))
        names = sorted(gone)
        for start in range(0, len(names), AT_ONCE):
            part = {name: gone[name] for name in names[start : start + AT_ONCE]}
            with self._engine.database.write() as session:
                store.remove_documents(session, self._row.id, part)
                self._progress.counts["removed"] += len(part)
                self._progress.write(session)
            self._engine.follower.follow()

    def _commit(
        self, batch: list[AccessChange | Listed], checkpoint: Checkpoint | None = None
    ) -> None:
        with self._progress.stage("store"), self._engine.database.write() as session:
            self._apply(session, batch)
            if checkpoint is not None:
                session.execute(
                    update(ConnectorRow)
                    .where(col(ConnectorRow.id) == self._row.id)
                    .values(access_state=dict(checkpoint.state))
                )
            self._progress.write(session)
        with self._progress.stage("index"):
            self._engine.follower.follow()

    def _apply(self, session: Session, batch: list[AccessChange | Listed]) -> None:
        wanted: dict[str, Permission] = {}
        for change in batch:
            known: Known | None = self._known.get(change.id)
            self._progress.counts["seen"] += 1
            if known is not None:
                wanted[known.document_id] = self._permission(change)
        if audiences := {k: v for p in wanted.values() for k, v in p.audiences.items()}:
            self._engine.directory.add_audiences(session, self._row.id, audiences)
        for document_id, before in store.access_hashes(session, list(wanted)).items():
            if before != wanted[document_id].hash:
                self._progress.counts["access"] += store.set_access(
                    session,
                    document_id,
                    before,
                    wanted[document_id],
                    self._engine.clock(),
                    run_id=self._run_id,
                )

    def _permission(self, change: AccessChange | Listed) -> Permission:
        try:
            return Permission.of(change.access, change.data_class, self._row.id)
        except (
            ValueError
        ):  # a class that is none: the content run names it, nobody reads it meanwhile
            self._progress.counts["failed"] += 1
            return Permission.nobody()


class GroupsRun:
    """Replaces a connector's groups by what the source says now, and expands everybody's."""

    def __init__(
        self, engine: Engine, row: ConnectorRow, connector: Connector, progress: Progress
    ) -> None:
        self._engine = engine
        self._row = row
        self._connector = connector
        self._progress = progress

    def work(self) -> Json:
        """Raises Cancelled, Stopping, SourceFault."""
        began = self._engine.clock()
        with self._progress.stage("fetch"):
            groups = {
                name: frozenset(_member(self._row.id, member) for member in members)
                for name, members in self._connector.groups().items()
            }
        self._progress.finish()
        self._progress.counts["seen"] = len(groups)
        with self._progress.stage("store"), self._engine.database.write() as session:
            self._progress.still_wanted(session)
            directory = self._engine.directory
            directory.replace_groups(session, self._row.id, groups)
            used = store.used_audiences(session, self._row.id)
            directory.forget_audiences(session, self._row.id, used)
            self._progress.counts["changed"] = directory.expand_all(session)
            session.execute(
                update(ConnectorRow)
                .where(col(ConnectorRow.id) == self._row.id)
                .values(groups_at=began)
            )
            self._progress.write(session)
        return self._progress.result()


def _member(connector_id: str, member: str) -> str:
    if member.startswith("group:"):
        return f"group:{connector_id}/{member.removeprefix('group:')}"
    return f"user:{member.strip().lower()}"
