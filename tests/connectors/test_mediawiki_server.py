"""The MediaWiki connector against a real MediaWiki, asked also as each of its accounts.

Marked `realserver`: needs Debian's `mediawiki`, `php-cli` and `php-sqlite3`, and is skipped where they are not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from connectors.contract import (
    Access,
    AccessChange,
    Checkpoint,
    Connector,
    Context,
    Deletion,
    Document,
    Outcome,
    SourceFault,
    Unchanged,
)
from connectors.http import Http
from connectors.mediawiki import MediaWikiConnector
from connectors.mediawiki.api import MediaWikiApi
from connectors.mediawiki.settings import MediaWikiSecrets, MediaWikiSettings
from connectors.suite import ConnectorContract, Listing, listing
from tests.servers.mediawiki import MediaWiki, mediawiki, sign_in

pytestmark = pytest.mark.realserver
ACCOUNTS = ("Ada Lovelace", "Bob", "Cid", "Dan", "Eve", "Reader", "Admin")
# Cid's right is revoked, Eve is blocked; "MediaWiki default" is an account that every wiki has.
READING = set("ada.lovelace bob dan reader admin mediawiki.default".split())


@pytest.fixture(scope="module")
def wiki() -> Iterator[MediaWiki]:
    with mediawiki() as started:
        yield started


def connect(wiki: MediaWiki, password: str = "", **settings: object) -> MediaWikiConnector:
    given = {
        "url": wiki.api,
        "bot_user": wiki.bot,
        "namespaces": ("0", "HR"),
        "mail_pattern": "{name}@example.test",
        "restricted": ("HR = hr",),
        **settings,
    }
    secrets = MediaWikiSecrets.model_validate({"bot_password": password or wiki.bot_password})
    context = Context(http=Http(requests_per_minute=100_000))
    return MediaWikiConnector(MediaWikiSettings.model_validate(given), secrets, context)


def titles(found: Listing) -> dict[str, Document]:
    return {document.title: document for document in found.documents.values()}


def follow(before: Listing, connector: Connector) -> Listing:
    """What the next sync hands over."""
    state = before.checkpoints[-1].state
    return listing(connector, checkpoint=state, known=before.versions)


def readers(access: Access, groups: Mapping[str, frozenset[str]]) -> set[str]:
    assert access.known
    assert not access.also
    return set(access.users).union(*(groups.get(name, frozenset()) for name in access.groups))


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, wiki: MediaWiki) -> Connector:
        return connect(wiki)

    @pytest.fixture
    def broken_connector(self, wiki: MediaWiki) -> Connector:
        return connect(wiki, password="r" * 32)

    @pytest.fixture
    def changed_connector(self, wiki: MediaWiki) -> Callable[[], Connector]:
        def change() -> Connector:
            wiki.act("edit", title="Leave", text="Thirty days.")
            wiki.act("edit", title="Canteen", text="Open at noon.")
            wiki.act("delete", title="Fête & Co?")
            return connect(wiki)

        return change


@pytest.mark.parametrize("public", [False, True])
def test_for_every_account_and_page_it_says_what_the_wiki_shows(
    wiki: MediaWiki, public: bool
) -> None:
    """But for blocked accounts, which count as shut here, and restricted namespaces, which core does not know."""
    if public:
        with wiki.public():
            told, shown = compare(wiki)
        assert not shown["Eve"] - shown["Dan"], "a public wiki shows everybody the same"
    else:
        told, shown = compare(wiki)
        assert shown["Cid"] == set(), "a revoked right to read is the wiki's own no"
    assert shown.pop("Eve"), "the wiki itself lets a blocked account read"
    assert told.pop("Eve") == set()
    assert told == {**shown, "Cid": set()}


def compare(wiki: MediaWiki) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    connector = connect(wiki, restricted=())
    documents, groups = listing(connector).documents, connector.groups()
    told: dict[str, set[str]] = {}
    shown: dict[str, set[str]] = {}
    for name in ACCOUNTS:
        mail = f"{name.lower().replace(' ', '.')}@example.test"
        session = sign_in(wiki.url, name, wiki.bot_password)
        told[name] = {id for id, d in documents.items() if mail in readers(d.access, groups)}
        shown[name] = {id for id in documents if sees(session, wiki.api, id.removeprefix("page:"))}
    return told, shown


def sees(session: httpx.Client, api: str, number: str) -> bool:
    ask = {"action": "parse", "pageid": number, "prop": "text", "format": "json"}
    return "parse" in session.get(api, params=ask).json()


def test_a_restricted_namespace_is_for_its_group(wiki: MediaWiki) -> None:
    connector = connect(wiki)
    found, groups = titles(listing(connector)), connector.groups()
    assert readers(found["HR:Salaries"].access, groups) == {"bob@example.test"}
    assert readers(found["Travel policy"].access, groups) == {f"{n}@example.test" for n in READING}
    wiki.act("userrights", user="Dan", add="hr")
    try:
        inside = readers(found["HR:Salaries"].access, connect(wiki).groups())
        assert inside == {"bob@example.test", "dan@example.test"}
    finally:
        wiki.act("userrights", user="Dan", remove="hr")


def test_public_pages_are_for_everyone_only_if_the_setting_says_so(wiki: MediaWiki) -> None:
    with wiki.public():
        without = titles(listing(connect(wiki)))
        with_it = titles(listing(connect(wiki, public_for_everyone=True)))
    assert not any(document.access.everyone for document in without.values())
    assert with_it["Travel policy"].access.everyone
    assert not with_it["HR:Salaries"].access.everyone
    private = titles(listing(connect(wiki, public_for_everyone=True)))
    assert not any(document.access.everyone for document in private.values())


def test_a_public_wiki_is_read_without_an_account(wiki: MediaWiki) -> None:
    with wiki.public():
        assert "Travel policy" in titles(listing(connect(wiki, bot_user="")))
    with pytest.raises(SourceFault, match="private"):
        listing(connect(wiki, bot_user=""))


def test_readers_change_without_content_when_the_wiki_opens(wiki: MediaWiki) -> None:
    connector = connect(wiki, public_for_everyone=True)
    *_, end = connector.access({})
    assert isinstance(end, Checkpoint)
    assert list(connector.access(end.state)) == [end]
    with wiki.public():
        opened = [c for c in connector.access(end.state) if isinstance(c, AccessChange)]
    assert sum(change.access.everyone for change in opened) == len(opened) - 1


def test_pages_come_as_the_wiki_renders_them(wiki: MediaWiki) -> None:
    found = titles(listing(connect(wiki)))
    page = found["Travel policy"]
    text = page.content.decode()
    assert "<h1>Travel policy</h1>" in text
    assert "Hotels</span></h2>" in text
    assert "Ask the front desk." in text, "templates are filled in"
    assert "[edit]" not in text
    assert page.url == f"{wiki.url}/index.php/Travel_policy"
    assert page.space == "Handbook wiki"
    assert found["HR:Salaries"].space == "Handbook wiki, HR"
    assert "Holidays" not in found, "redirects are skipped"
    assert not {"Talk:Leave", "Template:Notice"} & found.keys(), "namespaces not asked for"


def test_a_move_keeps_the_document(wiki: MediaWiki) -> None:
    wiki.act("edit", title="Parking", text="In the yard.")
    before = listing(connect(wiki))
    wiki.act("move", **{"from": "Parking", "to": "Bicycles"})
    after = follow(before, connect(wiki))
    id = titles(before)["Parking"].id
    assert titles(after)["Bicycles"].id == id
    assert "Parking" not in titles(after), "what is left there is a redirect"
    wiki.act("move", **{"from": "Bicycles", "to": "Talk:Bicycles"})
    gone = follow(before, connect(wiki))
    assert Deletion(id) in gone.changes, "a page that left the namespaces is gone"


def test_deleted_pages_go_and_restored_ones_come_back(wiki: MediaWiki) -> None:
    wiki.act("edit", title="Lift", text="Out of order.")
    before = listing(connect(wiki))
    id = titles(before)["Lift"].id
    wiki.act("delete", title="Lift")
    gone = follow(before, connect(wiki))
    assert Deletion(id) in gone.changes
    assert id not in {line.id for line in connect(wiki).list_ids()}
    wiki.act("undelete", title="Lift")
    state = gone.checkpoints[-1].state
    known = {key: version for key, version in before.versions.items() if key != id}
    back = listing(connect(wiki), checkpoint=state, known=known)
    assert "Out of order." in titles(back)["Lift"].content.decode()


def test_a_page_that_becomes_a_redirect_goes(wiki: MediaWiki) -> None:
    wiki.act("edit", title="Old desk", text="Desk 4.")
    before = listing(connect(wiki))
    wiki.act("edit", title="Old desk", text="#REDIRECT [[Leave]]")
    after = follow(before, connect(wiki))
    assert Deletion(titles(before)["Old desk"].id) in after.changes


def test_suppressed_text_is_not_read(wiki: MediaWiki) -> None:
    """Core never hides a page's current revision; one that is hidden between listing and reading is left out."""
    wiki.act("edit", title="Oops", text="A secret key.")
    listed = listing(connect(wiki))
    (revision,) = [int(d.version) for d in listed.documents.values() if d.title == "Oops"]
    wiki.act("edit", title="Oops", text="No key.")
    api = MediaWikiApi(Context(), wiki.api, wiki.bot, wiki.bot_password)
    assert "A secret key." in str(api.html(revision))
    wiki.act("revisiondelete", type="revision", ids=str(revision), hide="content")
    assert api.html(revision) is None
    again = titles(follow(listed, connect(wiki)))
    assert "No key." in again["Oops"].content.decode()


def test_a_later_listing_asks_only_for_recent_changes(wiki: MediaWiki) -> None:
    first = listing(connect(wiki))
    wiki.act("edit", title="Leave", text="Twenty-nine days.")
    after = follow(first, connect(wiki))
    assert titles(after).keys() == {"Leave"}
    assert not after.checkpoints[-1].complete
    assert all(isinstance(c, Document | Unchanged | Checkpoint | Deletion) for c in after.changes)


def test_another_choice_of_namespaces_lists_all_anew(wiki: MediaWiki) -> None:
    first = listing(connect(wiki, namespaces=("0",)))
    second = follow(first, connect(wiki, namespaces=("0", "3000")))
    assert second.checkpoints[-1].complete
    assert titles(second).keys() == {"HR:Salaries"}


def test_a_session_that_ends_is_opened_again(wiki: MediaWiki) -> None:
    connector = connect(wiki)
    assert connector.groups()["readers"]
    wiki.sql("delete from objectcache")  # where this wiki keeps its sessions
    if not wiki.sql("select 1 from sqlite_master where name = 'objectcache'"):
        pytest.fail("sessions are elsewhere")
    connector._api._http._client.cookies.clear()
    assert connector.groups()["readers"]


def test_checks_tell_what_was_seen_and_what_is_wrong(wiki: MediaWiki) -> None:
    content, permissions, groups = connect(wiki, people=("Dan =",)).validate()
    assert "Handbook wiki" in content.message
    assert permissions.message == "The wiki is private: 6 accounts may read."
    assert groups.message == "5 accounts have an address. 1 have none and see nothing."
    *_, nobody = connect(wiki, mail_pattern="").validate()
    assert nobody.outcome is Outcome.FAILED
    assert "{name}" in nobody.fix
    refused = connect(wiki, password="w" * 32).validate()
    assert {check.outcome for check in refused} == {Outcome.FAILED}
    assert not any("w" * 32 in check.message + check.fix for check in refused)
    missing, *_ = connect(wiki, namespaces=("Sales",)).validate()
    assert missing.outcome is Outcome.FAILED
    assert "Sales" in missing.message
