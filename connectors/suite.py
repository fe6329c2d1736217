"""The contract tests that every connector passes. Subclass `ConnectorContract`, supply one fixture, run pytest.

    class TestMySource(ConnectorContract):
        @pytest.fixture
        def connector(self):
            return MySource(MySettings(...))     # a source with at least two documents

Optional fixtures prove more: `broken_connector` (its source is away) and `changed_connector` (the same source after one
document's content changed, one was deleted and one was added; needs `connector` to have been listed before).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel

from connectors.contract import (
    CONTRACT_VERSION,
    Access,
    Change,
    Check,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Failure,
    Outcome,
    SourceFault,
    Unchanged,
)

DATA_CLASSES = {"public", "internal", "confidential", "restricted"}


@dataclass
class Listing:
    """What one call of `changes` handed over."""

    changes: list[Change] = field(default_factory=list)

    @property
    def documents(self) -> dict[str, Document]:
        return {c.id: c for c in self.changes if isinstance(c, Document)}

    @property
    def present(self) -> set[str]:
        return {c.id for c in self.changes if isinstance(c, Document | Unchanged)}

    @property
    def versions(self) -> dict[str, str]:
        return {id: document.version for id, document in self.documents.items()}

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [c for c in self.changes if isinstance(c, Checkpoint)]


def listing(
    connector: Connector,
    *,
    checkpoint: Mapping[str, object] | None = None,
    known: Mapping[str, str] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    max_bytes: int = 25_000_000,
) -> Listing:
    """Runs `changes` to its end, as the platform does."""
    context = Context(
        known=known or {}, cancelled=cancelled, progress=lambda _text: None, max_bytes=max_bytes
    )
    return Listing(list(connector.changes(checkpoint or {}, context)))


class ConnectorContract:
    @pytest.fixture
    def connector(self) -> Connector:
        raise NotImplementedError("supply the fixture `connector`")

    @pytest.fixture
    def broken_connector(self) -> Connector:
        pytest.skip("no broken source given")

    @pytest.fixture
    def changed_connector(self) -> Callable[[], Connector]:
        pytest.skip("no changed source given")

    def test_it_says_what_it_is(self, connector: Connector) -> None:
        kind = type(connector)
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,39}", kind.kind), "kind: lower case, one word"
        assert kind.title.strip()
        assert kind.description.strip()
        assert kind.contract_version == CONTRACT_VERSION
        assert issubclass(kind.settings_model, BaseModel)

    def test_its_settings_survive_storage(self, connector: Connector) -> None:
        model = type(connector).settings_model
        stored = connector.settings.model_dump(mode="json")
        assert model.model_validate(stored) == connector.settings

    def test_it_never_imports_the_app(self, connector: Connector) -> None:
        module = type(connector).__module__
        program = (
            f"import sys; sys.path[:0] = {sys.path!r}; import {module};"
            "sys.exit(any(name == 'app' or name.startswith('app.') for name in sys.modules))"
        )
        run = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
        assert run.returncode == 0

    def test_validate_checks_content_and_permissions(self, connector: Connector) -> None:
        checks = connector.validate()
        assert checks
        assert all(isinstance(check, Check) and check.message for check in checks)
        assert len({check.name for check in checks}) == len(checks) >= 2
        assert all(check.fix for check in checks if check.outcome is Outcome.FAILED)

    def test_documents_are_complete(self, connector: Connector) -> None:
        found = listing(connector)
        assert len(found.documents) >= 2, "the test source needs at least two documents"
        for document in found.documents.values():
            assert document.id
            assert document.version
            assert isinstance(document.content, bytes)
            assert "/" in document.mime
            assert document.data_class in DATA_CLASSES
            assert document.modified_at is None or document.modified_at.tzinfo is not None
            check_access(document.access)

    def test_no_document_comes_twice_in_a_listing(self, connector: Connector) -> None:
        ids = [c.id for c in listing(connector).changes if isinstance(c, Document | Unchanged)]
        assert len(ids) == len(set(ids))

    def test_a_listing_ends_with_a_checkpoint(self, connector: Connector) -> None:
        changes = listing(connector).changes
        assert isinstance(changes[-1], Checkpoint), "what follows the last checkpoint can be lost"

    def test_repeating_a_listing_gives_the_same(self, connector: Connector) -> None:
        first, second = listing(connector), listing(connector)
        assert first.versions == second.versions
        assert {i: d.access for i, d in first.documents.items()} == {
            i: d.access for i, d in second.documents.items()
        }

    def test_known_versions_are_not_sent_again(self, connector: Connector) -> None:
        first = listing(connector)
        state = first.checkpoints[-1].state
        again = listing(connector, checkpoint=state, known=first.versions)
        assert again.documents == {}
        for change in again.changes:
            if isinstance(change, Unchanged):
                assert change.id in first.documents
                assert change.access == first.documents[change.id].access
                assert change.data_class == first.documents[change.id].data_class

    def test_a_complete_listing_names_everything(self, connector: Connector) -> None:
        first = listing(connector)
        last = first.checkpoints[-1]
        again = listing(connector, checkpoint=last.state, known=first.versions)
        if again.checkpoints and again.checkpoints[-1].complete:
            failed = {c.id for c in again.changes if isinstance(c, Failure)}
            assert first.documents.keys() <= again.present | failed

    def test_too_large_documents_fail_alone(self, connector: Connector) -> None:
        found = listing(connector, max_bytes=1)
        assert all(len(document.content) <= 1 for document in found.documents.values())
        failures = [change for change in found.changes if isinstance(change, Failure)]
        assert failures, "a document over max_bytes becomes a Failure"
        assert all(failure.name and failure.cause for failure in failures)

    def test_a_cancelled_listing_claims_nothing(self, connector: Connector) -> None:
        found = listing(connector, cancelled=lambda: True)
        assert not any(checkpoint.complete for checkpoint in found.checkpoints)

    def test_groups_name_people_and_groups(self, connector: Connector) -> None:
        for name, members in connector.groups().items():
            assert name.strip()
            for member in members:
                assert "@" in member or member.startswith("group:"), member

    def test_a_source_that_is_away_is_a_fault_not_an_empty_listing(
        self, broken_connector: Connector
    ) -> None:
        with pytest.raises(SourceFault) as fault:
            listing(broken_connector)
        assert fault.value.message
        assert fault.value.fix
        assert any(check.outcome is not Outcome.PASSED for check in broken_connector.validate())

    def test_changes_at_the_source_arrive(
        self, connector: Connector, changed_connector: Callable[[], Connector]
    ) -> None:
        before = listing(connector)
        state = before.checkpoints[-1].state
        after = listing(changed_connector(), checkpoint=state, known=before.versions)
        sent = after.documents.keys()
        assert sent & before.documents.keys(), "a changed document is sent again"
        assert sent - before.documents.keys(), "a new document is sent"
        deleted = {change.id for change in after.changes if isinstance(change, Deletion)}
        if after.checkpoints[-1].complete:
            deleted |= before.documents.keys() - after.present
        assert deleted & before.documents.keys(), "a deletion is told, or shows by its absence"


def check_access(access: Access) -> None:
    """Unknown means nobody, so it names nobody."""
    if not access.known:
        named = access.users | access.groups
        assert not access.everyone, "unknown readers cannot be everyone"
        assert not named, "unknown readers name nobody"
    assert all("@" in user for user in access.users), "users are e-mail addresses"
    assert all(group.strip() for group in access.groups)
