"""The S3 connector: the contract, and everything a bucket can hold, refuse or lose, against moto's server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.contract import Access, Connector, Deletion, Document, Failure, Outcome, SourceFault
from connectors.s3 import S3Connector
from connectors.s3.settings import S3Secrets, S3Settings
from connectors.suite import ConnectorContract, listing
from tests.servers.s3_server import S3, reset, s3_server

BUCKET = "handbook"
EVERYONE = Access(known=True, everyone=True, company_groups=True)
ALL = ("/ = everyone",)


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(server: S3) -> S3:
    reset(server)
    server.bucket(BUCKET)
    return server


def storage(s3: S3, keys: tuple[str, str] = ("testing", "testing"), **settings: Any) -> S3Connector:
    stated = {"endpoint": s3.endpoint, "region": "us-east-1", "bucket": BUCKET, "readers": ALL}
    secrets = S3Secrets.model_validate({"access_key": keys[0], "secret_key": keys[1]})
    return S3Connector(S3Settings.model_validate({**stated, **settings}), secrets)


def failures(connector: Connector) -> dict[str, Failure]:
    return {c.id: c for c in listing(connector).changes if isinstance(c, Failure)}


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, s3: S3) -> Connector:
        for key in ("policies/travel.md", "policies/leave.txt", "plan.html"):
            s3.put(BUCKET, key)
        return storage(s3, readers=["policies = group:sales, user:ada@example.test"])

    @pytest.fixture
    def broken_connector(self) -> Connector:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return storage(S3(f"http://127.0.0.1:{port}"))

    @pytest.fixture
    def changed_connector(self, s3: S3) -> Callable[[], Connector]:
        def change() -> Connector:
            s3.put(BUCKET, "policies/travel.md", "# Travel\n\nBy train.")
            s3.put(BUCKET, "policies/new.md")
            s3.remove(BUCKET, "policies/leave.txt")
            return storage(s3)

        return change


def test_the_longest_prefix_decides_and_none_means_nobody(s3: S3) -> None:
    for key in ("hr/a.md", "hr/drafts/b.md", "hr-public/c.md", "open/d.md", "e.md"):
        s3.put(BUCKET, key)
    lines = ["hr/ = group:hr, user:Ada@Example.test", "hr/drafts = nobody", "open = everyone"]
    found = listing(storage(s3, readers=lines)).documents
    hr = Access(
        known=True,
        groups=frozenset({"hr"}),
        users=frozenset({"ada@example.test"}),
        company_groups=True,
    )
    assert found["hr/a.md"].access == hr
    assert found["open/d.md"].access == EVERYONE
    for key in ("hr/drafts/b.md", "hr-public/c.md", "e.md"):
        assert found[key].access == Access.nobody()
    checks = {c.name: c for c in storage(s3, readers=lines).validate()}
    assert checks["permissions"].outcome is Outcome.INDETERMINATE
    assert "3 of 5" in checks["permissions"].message


def test_the_nearest_access_file_decides_and_a_broken_one_means_nobody(s3: S3) -> None:
    s3.put(BUCKET, "access.toml", "[access]\neveryone = true\n")
    s3.put(BUCKET, "hr/access.toml", '[access]\ngroups = ["hr"]\ndata_class = "restricted"\n')
    s3.put(BUCKET, "bad/access.toml", "[access\n")
    for key in ("a.md", "hr/deep/b.md", "bad/c.md"):
        s3.put(BUCKET, key)
    connector = storage(s3, readers_from="access files")
    found = listing(connector).documents
    assert found.keys() == {"a.md", "hr/deep/b.md", "bad/c.md"}
    assert found["a.md"].access == EVERYONE
    assert found["hr/deep/b.md"].access.groups == {"hr"}
    assert found["hr/deep/b.md"].data_class == "restricted"
    assert found["bad/c.md"].access == Access.nobody()
    assert failures(connector)["bad/access.toml"].fix
    assert connector.validate()[1].outcome is Outcome.FAILED
    (again,) = connector.refetch(["hr/deep/b.md"])
    assert isinstance(again, Document)
    assert again.access == found["hr/deep/b.md"].access
    below = listing(storage(s3, readers_from="access files", prefix="hr/deep")).documents
    assert below["hr/deep/b.md"].access == Access.nobody(), "what lies above the folder is not read"


def test_a_listing_of_several_pages_is_read_whole(s3: S3) -> None:
    s3.fill(BUCKET, 1005)
    assert len(list(storage(s3).list_ids())) == 1005


def test_only_changed_objects_are_fetched(s3: S3) -> None:
    s3.put(BUCKET, "a.md")
    s3.put(BUCKET, "b.md")
    first = listing(storage(s3))
    s3.put(BUCKET, "b.md", "changed")
    second = listing(storage(s3), known=first.versions)
    assert second.documents.keys() == {"b.md"}
    assert second.present == {"a.md", "b.md"}


def test_a_delete_marker_hides_an_object(s3: S3) -> None:
    s3.bucket("versioned", versioned=True)
    s3.put("versioned", "a.md")
    s3.put("versioned", "b.md")
    s3.remove("versioned", "a.md")
    connector = storage(s3, bucket="versioned")
    assert listing(connector).documents.keys() == {"b.md"}
    (gone,) = connector.refetch(["a.md"])
    assert isinstance(gone, Deletion)


def test_archived_objects_are_failures_with_a_way_out(s3: S3) -> None:
    s3.put(BUCKET, "b.md")
    s3.archive(BUCKET, "cold.md")
    (failure,) = failures(storage(s3)).values()
    assert (failure.id, "GLACIER" in failure.cause) == ("cold.md", True)
    assert "Restore" in failure.fix


def test_kinds_come_from_the_ending_or_the_metadata(s3: S3) -> None:
    s3.put(BUCKET, "a.md", kind="text/plain")
    s3.put(BUCKET, "README", kind="text/markdown; charset=utf-8")
    s3.put(BUCKET, "data", b"\0", kind="application/octet-stream")
    s3.put(BUCKET, "logo.png", b"\x89PNG")
    s3.put(BUCKET, ".hidden/x.md")
    s3.put(BUCKET, "folder/", b"")
    s3.put(BUCKET, "odd & Ünï//k+y.md")
    s3.boto("s3").put_object(Bucket=BUCKET, Key="up/../a.md", Body=b"x")
    found = listing(storage(s3, link_base="https://files.test/")).documents
    assert {k: d.mime for k, d in found.items()}["README"] == "text/markdown"
    assert found["a.md"].mime == "text/markdown"
    assert found["a.md"].url == "https://files.test/a.md"
    assert found["a.md"].modified_at is not None
    assert "odd & Ünï//k+y.md" in found
    assert not failures(storage(s3))
    assert not found.keys() & {"data", "logo.png", "folder/", ".hidden/x.md", "up/../a.md"}


def test_the_folder_and_the_patterns_choose(s3: S3) -> None:
    for key in ("hr/a.md", "hr/drafts/b.md", "hr-public/c.md", "hr/d.txt"):
        s3.put(BUCKET, key)
    found = listing(storage(s3, prefix="hr", include=["*.md"], exclude=["drafts"])).documents
    assert found.keys() == {"hr/a.md"}


def test_wrong_key_wrong_secret_wrong_bucket_and_no_rights_are_told_apart(s3: S3) -> None:
    s3.put(BUCKET, "a.md")
    both = ("s3:ListBucket", "s3:GetObject")
    reader, blind, lister = (
        s3.user(name, *actions)
        for name, actions in (("reader", both), ("blind", ()), ("lister", both[:1]))
    )
    with s3.checks_keys():
        said = {
            name: storage(s3, keys, **settings).validate()[0]
            for name, keys, settings in (
                ("good", reader, {}),
                ("key", ("AKIANOBODYKNOWSTHIS", reader[1]), {}),
                ("secret", (reader[0], "not-the-secret"), {}),
                ("rights", blind, {}),
                ("objects", lister, {}),
                ("bucket", reader, {"bucket": "no-such-bucket"}),
            )
        }
    assert said["good"].outcome is Outcome.PASSED
    assert all(check.outcome is Outcome.FAILED for name, check in said.items() if name != "good")
    assert "does not know the access key" in said["key"].message
    assert "secret key does not belong" in said["secret"].message
    assert "may not list" in said["rights"].message
    assert "not read it" in said["objects"].message
    assert "no bucket 'no-such-bucket'" in said["bucket"].message
    for check in said.values():
        assert reader[1] not in check.message + check.fix
        assert "not-the-secret" not in check.message + check.fix


def test_a_storage_that_is_away_is_not_a_bad_credential() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = storage(S3(f"http://127.0.0.1:{probe.getsockname()[1]}"))
        assert away.validate()[0].outcome is Outcome.INDETERMINATE
        with pytest.raises(SourceFault) as fault:
            list(away.list_ids())
    assert fault.value.passing
    assert "cannot be reached" in fault.value.message


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "minio:9000"},
        {"endpoint": "https://key:secret@minio"},
        {"endpoint": "https://minio/bucket"},
        {"readers": ["hr"]},
        {"readers": ["hr = "]},
        {"readers": ["hr = everybody"]},
        {"readers": ["hr = user:ada"]},
        {"readers": ["hr = nobody, group:hr"]},
        {"readers": ["hr = everyone", "hr/ = nobody"]},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        S3Settings.model_validate({"bucket": BUCKET, **settings})
