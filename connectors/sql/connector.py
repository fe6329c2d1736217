"""Reads kinds of documents from a database: each kind a query, a cursor column and a column of readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.contract import (
    AccessChange,
    Capability,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Listed,
    Reader,
    SourceFault,
)
from connectors.sql.checks import Checks
from connectors.sql.database import Database
from connectors.sql.kinds import parse_kinds
from connectors.sql.progress import Progress
from connectors.sql.readers import GROUP, admits, member
from connectors.sql.reading import Reading
from connectors.sql.rows import is_true, split_id
from connectors.sql.settings import SqlSecrets, SqlSettings
from connectors.sql.statements import everything


class SqlConnector(Connector):
    kind = "sql"
    title = "SQL database"
    description = (
        "Rows of PostgreSQL or SQLite as documents: a query for each kind, readers from a column."
    )
    category = "Databases"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text(encoding="utf-8")
    settings_model = SqlSettings
    secrets_model = SqlSecrets
    settings: SqlSettings
    secrets: SqlSecrets

    @property
    def capabilities(self) -> frozenset[Capability]:
        found = super().capabilities
        return found if self.settings.groups_query.strip() else found - {Capability.GROUPS}

    def validate(self) -> list[Check]:
        kinds = parse_kinds(self.settings.kinds)
        return Checks(self._database(), self.settings, kinds, self.groups).run()

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Never claims to be complete: `list_ids`, which sees one moment, tells what is gone."""
        readings = self._readings()
        names = {reading.kind.name for reading in readings}
        stored = checkpoint.get("kinds", {})
        state = {name: value for name, value in stored.items() if name in names}
        for reading in readings:
            kind = reading.kind
            for item in reading.walk(Progress.load(kind, state.get(kind.name, {})), known):
                if isinstance(item, Progress):
                    state[kind.name] = item.dump(kind)
                    yield Checkpoint({"kinds": dict(state)})
                else:
                    yield item
            if self.context.cancelled():
                return

    def list_ids(self) -> Iterator[Listed]:
        for reading in self._readings():
            for id, access in reading.all_readers():
                yield Listed(id, "", access, reading.data_class)

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """Every row's readers each time: a database does not tell which of them changed."""
        del since
        for reading in self._readings():
            for id, access in reading.all_readers():
                yield AccessChange(id, access, reading.data_class)
        yield Checkpoint()

    def groups(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        if not self.settings.groups_query.strip():
            return {}
        with self._database().reading("The groups query") as connection:
            result = connection.execute(everything(self.settings.groups_query.strip().rstrip(";")))
            if len(result.keys()) != 2:
                raise SourceFault(
                    f"The groups query gives {len(result.keys())} columns.",
                    "Select two: the group's name and a member.",
                )
            for name, entry in result:
                if name is None or not str(name).strip():
                    continue
                members = found.setdefault(str(name).strip().removeprefix(GROUP), set())
                if entry is not None and (known := member(str(entry))):
                    members.add(known)
        return {name: frozenset(members) for name, members in found.items()}

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        readings = {reading.kind.name: reading for reading in self._readings()}
        wanted: dict[str, list[str]] = {}
        for whole in ids:
            name, id = split_id(whole)
            if name in readings:
                wanted.setdefault(name, []).append(id)
            else:
                yield Deletion(whole)
        for name, some in wanted.items():
            yield from readings[name].again(some)

    def may_read(self, document_id: str, reader: Reader) -> bool:
        """By the kind's `reader_check` where it has one, else by the readers column and the groups as they are now."""
        name, id = split_id(document_id)
        reading = next((one for one in self._readings() if one.kind.name == name), None)
        if reading is None:
            return False
        email = reader.email.strip().lower()
        with reading.database.reading(reading.what) as connection:
            rows = connection.execute(reading.statements.readers(id)).mappings().all()
            if len(rows) != 1 or is_true(rows[0]["d_"]):
                return False
            if reading.kind.reader_check:
                query = everything(reading.kind.reader_check, "id", "email")
                answer = connection.execute(query, {"id": id, "email": email}).first()
                return answer is not None and is_true(answer[0])
        access = reading.access(rows[0]["r_"])
        groups = dict(self.groups()) if access.groups and email not in access.users else {}
        return admits(access, groups, email)

    # --- Parts --------------------------------------------------------------------------------------------------------

    def _readings(self) -> list[Reading]:
        database = self._database()
        return [
            Reading(kind, database, self.settings, self.context)
            for kind in parse_kinds(self.settings.kinds)
        ]

    def _database(self) -> Database:
        return Database(
            self.settings.url,
            self.secrets.password.get_secret_value(),
            self.settings.statement_timeout_s,
            self.context.cancelled,
        )
