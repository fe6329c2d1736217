"""The IMAP connector against a real Dovecot: own mail, shared folders by ACL, a master user, deletions, hostile messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest
from imapclient import IMAPClient
from pydantic import SecretStr

from connectors.contract import (
    Access,
    Checkpoint,
    Connector,
    Deletion,
    Document,
    Failure,
    Outcome,
    Reader,
    SourceFault,
)
from connectors.imap import ImapConnector
from connectors.imap.settings import ImapSecrets, ImapSettings
from connectors.suite import ConnectorContract, listing
from tests.servers.dovecot import MASTER, MASTER_PASSWORD, PASSWORD, Dovecot, dovecot

GROUPS = {"ada": ("staff",), "bob": ("staff", "hr"), "cy": ("hr",), "di": ()}
PERSONS = tuple(f"{name} {name}@example.test" for name in GROUPS)
STATED = (
    "staff: ada@example.test, bob@example.test",
    "hr: bob@example.test, cy@example.test",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(GROUPS) as running:
        yield running


def mail(subject: str, text: str = "Hello.", sender: str = "cy@example.test") -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, sender, "ada@example.test"
    message["Date"] = "Fri, 01 Mar 2024 10:00:00 +0000"
    message["Message-ID"] = f"<{subject.replace(' ', '.')}@example.test>"
    message.set_content(text)
    return message


class World:
    """The mail server as its people use it, and connectors to it."""

    def __init__(self, server: Dovecot) -> None:
        server.drop_mail()
        self.server = server
        self.clients: dict[str, IMAPClient] = {}

    def as_(self, login: str) -> IMAPClient:
        if login not in self.clients:
            client = IMAPClient("127.0.0.1", port=self.server.port, ssl=False)
            client.login(login, PASSWORD)
            self.clients[login] = client
        return self.clients[login]

    def put(self, login: str, folder: str, message: EmailMessage | bytes) -> None:
        client = self.as_(login)
        if not client.folder_exists(folder):
            client.create_folder(folder)
        client.append(folder, message if isinstance(message, bytes) else bytes(message))

    def remove(self, login: str, folder: str, subject: str) -> None:
        client = self.as_(login)
        client.select_folder(folder)
        client.delete_messages(client.search(["SUBJECT", subject]))
        client.expunge()
        client.unselect_folder()

    def rights(self, login: str, folder: str) -> set[str]:
        """The server's own word on what `login` may do; none for a folder that it hides."""
        try:
            _, (line,) = self.as_(login)._imap.myrights(folder)
        except Exception:  # imaplib raises its own error class for a refusal
            return set()
        return set() if line.startswith(b"[") else set(line.decode().rsplit(" ", 1)[-1])

    def connector(self, password: str = PASSWORD, **settings: object) -> ImapConnector:
        values = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "security": "none",
            "user": "ada",
            "owner": "Ada@example.test",
            "accounts": PERSONS,
            "acl_groups": STATED,
            **settings,
        }
        secrets = ImapSecrets(password=SecretStr(password))
        return ImapConnector(ImapSettings.model_validate(values), secrets)

    def master(self, **settings: object) -> ImapConnector:
        values = {"user": MASTER, "persons": PERSONS, "accounts": (), "owner": "", **settings}
        return self.connector(MASTER_PASSWORD, **values)


@pytest.fixture
def world(server: Dovecot) -> Iterator[World]:
    built = World(server)
    built.put("ada", "INBOX", mail("First"))
    built.put("ada", "INBOX", mail("Second"))
    built.put("ada", "Projects/Éclair", mail("Third"))
    yield built
    for client in built.clients.values():
        client.logout()


def titles(connector: Connector) -> dict[str, Document]:
    return {document.title: document for document in listing(connector).documents.values()}


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: World) -> Connector:
        return world.connector()

    @pytest.fixture
    def broken_connector(self, world: World) -> Connector:
        return world.connector(port=1)

    @pytest.mark.skip("messages never change; test_changes below has what arrives")
    def test_changes_at_the_source_arrive(  # type: ignore[override]
        self, connector: Connector, changed_connector: Callable[[], Connector]
    ) -> None: ...


def test_own_mail_is_its_owner_s_alone(world: World) -> None:
    found = titles(world.connector())
    assert set(found) == {"First", "Second", "Third"}
    assert all(d.access == Access.of(["ada@example.test"]) for d in found.values())
    assert all(d.data_class == "confidential" for d in found.values())
    assert found["Third"].space == "ada@example.test: Projects/Éclair"
    assert b"From: cy@example.test" in found["First"].content


def test_changes_arrive_and_nothing_else(world: World) -> None:
    first = listing(world.connector())
    state = first.checkpoints[-1].state
    again = list(world.connector().changes(state, first.versions))
    assert all(isinstance(change, Checkpoint) for change in again)
    world.put("ada", "INBOX", mail("New"))
    world.remove("ada", "INBOX", "First")
    after = listing(world.connector(), checkpoint=state, known=first.versions)
    gone = [c.id for c in after.changes if isinstance(c, Deletion)]
    assert [d.title for d in after.documents.values()] == ["New"]
    assert [first.documents[id].title for id in gone] == ["First"]


def test_a_deleted_flag_counts_as_deleted(world: World) -> None:
    first = listing(world.connector())
    client = world.as_("ada")
    client.select_folder("INBOX")
    client.delete_messages(client.search(["SUBJECT", "First"]))
    client.noop()
    after = listing(world.connector(), checkpoint=first.checkpoints[-1].state, known=first.versions)
    gone = [first.documents[c.id].title for c in after.changes if isinstance(c, Deletion)]
    assert gone == ["First"]


def test_a_folder_made_anew_is_another_folder(world: World) -> None:
    """UIDVALIDITY changes, though the new folder's message has the old one's UID."""
    first = listing(world.connector())
    client = world.as_("ada")
    client.delete_folder("Projects/Éclair")
    client.create_folder("Projects/Éclair")
    world.put("ada", "Projects/Éclair", mail("Another"))
    after = listing(world.connector(), checkpoint=first.checkpoints[-1].state, known=first.versions)
    gone = [first.documents[c.id].title for c in after.changes if isinstance(c, Deletion)]
    assert gone == ["Third"]
    assert [d.title for d in after.documents.values()] == ["Another"]


def test_trash_is_left_out_and_nothing_is_marked_read(world: World) -> None:
    world.put("ada", "Trash", mail("Thrown away"))
    assert "Thrown away" not in titles(world.connector())
    client = world.as_("ada")
    client.select_folder("INBOX", readonly=True)
    assert len(client.search("UNSEEN")) == 2


def test_folders_can_be_chosen(world: World) -> None:
    assert set(titles(world.connector(folders=("Projects/*",)))) == {"Third"}


# --- Messages -----------------------------------------------------------------------------------------------------------


def test_attachments_are_documents_and_go_with_their_message(world: World) -> None:
    message = mail("Report")
    message.add_attachment(b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="q1.pdf")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png")
    message.add_attachment("# Notes", subtype="plain", filename="notes.md")
    world.put("ada", "INBOX", message)
    first = listing(world.connector())
    found = {document.title: document for document in first.documents.values()}
    assert found["q1.pdf (Report)"].content == b"%PDF-1.4 x"
    assert found["notes.md (Report)"].mime == "text/markdown"
    assert found["q1.pdf (Report)"].access == Access.of(["ada@example.test"])
    assert not any("logo" in title for title in found)
    (again,) = world.connector().refetch([found["q1.pdf (Report)"].id])
    assert again == found["q1.pdf (Report)"]
    world.remove("ada", "INBOX", "Report")
    after = listing(world.connector(), checkpoint=first.checkpoints[-1].state, known=first.versions)
    assert len([c for c in after.changes if isinstance(c, Deletion)]) == 3


def test_html_and_old_encodings(world: World) -> None:
    world.put(
        "ada",
        "INBOX",
        b"From: =?iso-8859-1?q?J=FCrgen_=3Cb=3E?= <j@x.test>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
        b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n<p>Gr\xfc\xdfe</p>",
    )
    document = titles(world.connector())["Grüße"]
    assert document.mime == "text/html"
    assert "<p>Grüße</p>" in document.content.decode()
    assert "<b>" not in document.content.decode()


def test_a_hostile_message_fails_alone(world: World) -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(60)
    )
    world.put("ada", "INBOX", b"Subject: Nested\r\nMIME-Version: 1.0\r\n" + nested)
    world.put(
        "ada",
        "INBOX",
        b"Subject: Odd charset\r\nDate: never\r\nContent-Type: text/plain; charset=no-such\r\n\r\ntext \xff",
    )
    world.put("ada", "INBOX", mail("Huge", "x" * 300_000))
    found = listing(world.connector(), max_bytes=200_000)
    failures = {c.name: c for c in found.changes if isinstance(c, Failure)}
    assert "nested too deeply" in failures["Nested"].cause
    assert "the limit is 200,000" in failures["Huge"].cause
    assert {d.title for d in found.documents.values()} == {
        "First", "Second", "Third", "Odd charset",
    }  # fmt: skip


def test_a_forged_message_id_takes_no_other_s_place(world: World) -> None:
    forged = mail("Forged")
    forged.replace_header("Message-ID", "<First@example.test>")
    world.put("ada", "INBOX", forged)
    assert set(titles(world.connector())) == {"First", "Second", "Third", "Forged"}


# --- Shared folders -----------------------------------------------------------------------------------------------------


def test_a_shared_folder_is_for_whom_its_acl_admits(world: World) -> None:
    world.put("bob", "Plans", mail("Plan"))
    world.as_("bob").setacl("Plans", "ada", "lra")
    connector = world.connector()
    document = titles(connector)["Plan"]
    (group,) = document.access.groups
    assert connector.groups()[group] == {"ada@example.test"}
    world.as_("bob").setacl("Plans", "$staff", "lr")
    assert connector.groups()[group] == {"ada@example.test", "bob@example.test"}
    assert connector.may_read(document.id, Reader("BOB@example.test"))
    assert not connector.may_read(document.id, Reader("cy@example.test"))
    world.as_("bob").setacl("Plans", "-bob", "r")
    assert connector.groups()[group] == {"ada@example.test"}, "honoured without reading mail"


def test_without_the_right_to_see_the_acl_it_is_the_account_s_person_s(world: World) -> None:
    world.put("bob", "Plans", mail("Plan"))
    world.as_("bob").setacl("Plans", "ada", "lr")
    world.as_("bob").setacl("Plans", "cy", "lr")
    connector = world.connector()
    (group,) = titles(connector)["Plan"].access.groups
    assert connector.groups()[group] == {"ada@example.test"}
    permissions = next(c for c in connector.validate() if c.name == "permissions")
    assert permissions.outcome is Outcome.INDETERMINATE
    assert "The ACL of 1 cannot be seen" in permissions.message


def test_a_revoked_folder_is_nobody_s(world: World) -> None:
    world.put("bob", "Plans", mail("Plan"))
    world.as_("bob").setacl("Plans", "ada", "lra")
    document = titles(world.connector())["Plan"]
    world.as_("bob").setacl("Plans", "ada", "l")
    assert not world.connector().groups().get(next(iter(document.access.groups)))
    assert not world.connector().may_read(document.id, Reader("ada@example.test"))


def test_every_acl_agrees_with_the_server(world: World) -> None:
    """Random ACLs, negative rights and groups included: nobody is admitted whom Dovecot's MYRIGHTS refuses."""
    random.seed(3)
    world.put("bob", "Plans", mail("Plan"))
    connector = world.connector()
    (group,) = titles(_opened(world, connector)).get("Plan").access.groups  # type: ignore[union-attr]
    admitted = possible = 0
    bob = world.as_("bob")
    identifiers = ["cy", "di", "$staff", "$hr", "-cy", "-di", "-$staff", "-$hr", "anyone"]
    for _ in range(40):
        chosen = random.sample(identifiers, random.randint(1, 4))
        for identifier in chosen:
            bob.setacl("Plans", identifier, random.choice(["l", "lr", "lrs", "s", "r"]))
        members = connector.groups().get(group, frozenset())
        for login in ("ada", "bob", "cy", "di"):
            folder = "Plans" if login == "bob" else "Users/bob/Plans"
            may = {"l", "r"} <= world.rights(login, folder)
            if f"{login}@example.test" in members:
                assert may, (login, bob.getacl("Plans"))
                admitted += 1
            possible += may
        for identifier in chosen:
            bob._imap.deleteacl("Plans", identifier)
    assert admitted > 0.4 * possible > 20


def _opened(world: World, connector: Connector) -> Connector:
    world.as_("bob").setacl("Plans", "ada", "lra")
    return connector


# --- A master user, sign-in and words -----------------------------------------------------------------------------------


def test_a_master_user_reads_each_person_s_mail_for_that_person(world: World) -> None:
    world.put("bob", "INBOX", mail("For Bob"))
    connector = world.master()
    found = titles(connector)
    assert found["First"].access == Access.of(["ada@example.test"])
    assert found["For Bob"].access == Access.of(["bob@example.test"])
    assert connector.may_read(found["For Bob"].id, Reader("bob@example.test"))
    assert not connector.may_read(found["For Bob"].id, Reader("ada@example.test"))


def test_a_wrong_password_fails_without_being_repeated(world: World) -> None:
    content = world.connector("wrong-s3cret").validate()[0]
    assert content.outcome is Outcome.FAILED
    assert "refused the sign-in for ada" in content.message
    assert "s3cret" not in str(content)


def test_tls_needs_a_trusted_certificate(world: World) -> None:
    tls = {"security": "tls", "port": world.server.tls_port}
    with pytest.raises(SourceFault, match="certificate is not trusted"):
        listing(world.connector(**tls))
    trusted = world.connector(ca_file=str(world.server.certificate), **tls)
    assert len(listing(trusted).documents) == 3
    starttls = world.connector(security="starttls", ca_file=str(world.server.certificate))
    assert len(listing(starttls).documents) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"owner": ""}, "name the owner"),
        ({"owner": "ada"}, "one e-mail address"),
        ({"accounts": ("ada",)}, "write a login and an e-mail address"),
        ({"acl_groups": ("staff ada",)}, "a name, a colon"),
    ],
)
def test_settings_say_what_is_wrong(world: World, change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        world.connector(**change)
