"""The contract tests that every connector passes. Subclass `ConnectorContract`, supply one fixture, run pytest.

    class TestMySource(ConnectorContract):
        @pytest.fixture
        def connector(self):
            return MySource(MySettings(...))     # a source with at least two documents

Optional fixtures prove more: `broken_connector` (its source is away) and `changed_connector` (the same source after one
document's content changed, one was deleted and one was added; needs `connector` to have been listed before).
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from pydantic import BaseModel, SecretStr

from connectors.contract import (
    CONTRACT_VERSION,
    Access,
    AccessChange,
    BadEvent,
    Capability,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Event,
    Failure,
    Outcome,
    Reader,
    SourceFault,
    Unchanged,
)

CATEGORIES = {"Files", "Wikis", "Tickets", "Mail", "Chat", "Databases", "Web", "Other"}
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
    before = connector.context
    connector.context = replace(before, cancelled=cancelled, max_bytes=max_bytes)
    try:
        return Listing(list(connector.changes(checkpoint or {}, known or {})))
    finally:
        connector.context = before


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
        assert kind.category in CATEGORIES
        assert kind.limits.permissions_max_age_s >= kind.limits.permissions_every_s
        assert 0 <= kind.limits.removal_share <= 1

    def test_its_secrets_are_secret(self, connector: Connector) -> None:
        fields = type(connector).secrets_model.model_fields
        assert all(field.annotation is SecretStr for field in fields.values()), (
            "a secret is a SecretStr, so that no log and no page shows it"
        )
        assert not fields or type(connector).setup_help.strip(), (
            "say where to create the credential and which scopes to grant"
        )

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
        if Capability.GROUPS not in connector.capabilities:
            pytest.skip("the source has no groups")
        for name, members in connector.groups().items():
            assert name.strip()
            for member in members:
                assert "@" in member or member.startswith("group:"), member

    def test_every_group_that_documents_name_has_members_listed(self, connector: Connector) -> None:
        if Capability.GROUPS not in connector.capabilities:
            pytest.skip("the source has no groups")
        named = {group for d in listing(connector).documents.values() for group in groups(d.access)}
        assert named <= connector.groups().keys(), "a group without members admits nobody"

    def test_a_complete_list_agrees_with_the_listing(self, connector: Connector) -> None:
        if Capability.LISTING not in connector.capabilities:
            pytest.skip("the source cannot list ids")
        documents = listing(connector).documents
        listed = {line.id: line for line in connector.list_ids()}
        assert documents.keys() <= listed.keys(), "what is not listed is deleted"
        for id, document in documents.items():
            assert listed[id].version in {"", document.version}
            assert listed[id].access == document.access
            assert listed[id].data_class == document.data_class

    def test_access_from_the_beginning_names_every_document(self, connector: Connector) -> None:
        if Capability.ACCESS not in connector.capabilities:
            pytest.skip("the source tells readers with the content only")
        documents = listing(connector).documents
        told = list(connector.access({}))
        assert isinstance(told[-1], Checkpoint), "access ends with a checkpoint"
        readers = {change.id: change for change in told if isinstance(change, AccessChange)}
        assert documents.keys() <= readers.keys()
        assert all(readers[id].access == d.access for id, d in documents.items())
        for change in connector.access(told[-1].state):
            assert not isinstance(change, AccessChange) or change.id in readers

    def test_a_document_fetched_again_is_the_same(self, connector: Connector) -> None:
        if Capability.REFETCH not in connector.capabilities:
            pytest.skip("the source cannot fetch single documents")
        documents = listing(connector).documents
        id, document = next(iter(documents.items()))
        (again,) = [c for c in connector.refetch([id]) if not isinstance(c, Checkpoint)]
        assert isinstance(again, Document)
        assert (again.id, again.version, again.access) == (id, document.version, document.access)
        for change in connector.refetch(["no such document, surely"]):
            assert isinstance(change, Deletion | Failure | Checkpoint)

    def test_a_stranger_may_not_read_live(self, connector: Connector) -> None:
        if Capability.LIVE_CHECK not in connector.capabilities:
            pytest.skip("the source does not answer live")
        stranger = Reader("nobody-knows-this-person@nowhere.invalid")
        for id, document in list(listing(connector).documents.items())[:3]:
            if not document.access.everyone:
                # A fault says that it cannot tell: the platform shows nothing then.
                with contextlib.suppress(SourceFault):
                    assert not connector.may_read(id, stranger)

    def test_an_event_from_anybody_is_refused(self, connector: Connector) -> None:
        if Capability.EVENTS not in connector.capabilities:
            pytest.skip("the source sends no events")
        for body in (b"", b"{}", b"\xff", b'{"ids": ["1"]}'):
            with pytest.raises(BadEvent):
                connector.handle_event(Event(body, {"content-type": "application/json"}))

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


def groups(access: Access) -> set[str]:
    """The source's groups that it names, those of its narrowing parts included."""
    own = set() if access.company_groups else set(access.groups)
    return own.union(*(groups(part) for part in access.also))


def check_access(access: Access) -> None:
    """Unknown means nobody, so it names nobody."""
    if not access.known:
        named = access.users | access.groups
        assert not access.everyone, "unknown readers cannot be everyone"
        assert not named, "unknown readers name nobody"
    assert all("@" in user for user in access.users), "users are e-mail addresses"
    assert all(group.strip() for group in access.groups)
    for part in access.also:
        assert access.known, "unknown readers cannot be narrowed"
        assert part.known, "what narrows is known; otherwise the whole is unknown"
        assert not part.also, "narrowing parts are flat"
        check_access(part)
