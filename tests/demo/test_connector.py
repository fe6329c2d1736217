from __future__ import annotations

from app.demo.seed import COMPANY_FOLDER
from app.domain import EVERYONE, DataClass
from connectors.contract import Access, Document, Outcome
from connectors.folder.connector import FolderConnector, FolderSettings
from tests.demo.papers import Paper


def principals(access: Access) -> frozenset[str]:
    if not access.known:
        return frozenset()
    named = {f"user:{email}" for email in access.users}
    named |= {f"group:idp/{name}" for name in access.groups}
    return frozenset(named | ({EVERYONE} if access.everyone else set()))


def test_the_folder_connector_sees_the_readers_that_the_files_name(
    papers: dict[str, Paper],
) -> None:
    connector = FolderConnector(FolderSettings(path=COMPANY_FOLDER))
    documents = {
        change.id: change for change in connector.changes({}, {}) if isinstance(change, Document)
    }
    assert set(documents) == set(papers)
    for path, paper in papers.items():
        assert principals(documents[path].access) == paper.readers, path
        if paper.data_class is not None:
            assert DataClass.parse(documents[path].data_class) is paper.data_class, path


def test_the_folder_passes_its_check_but_for_the_paper_without_readers() -> None:
    content, permissions = FolderConnector(FolderSettings(path=COMPANY_FOLDER)).validate()
    assert content.outcome is Outcome.PASSED
    assert permissions.outcome is Outcome.INDETERMINATE
    assert permissions.message.startswith("1 of ")
