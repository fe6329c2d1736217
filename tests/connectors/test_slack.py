"""Slack: the contract, who sees which channel (against the server's own rule), edits, deletions, events, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.contract import (
    Access,
    BadEvent,
    Connector,
    Context,
    Deletion,
    Document,
    Event,
    Failure,
    Outcome,
    Reader,
    SourceFault,
)
from connectors.http import Http
from connectors.slack import SlackConnector
from connectors.slack.settings import SlackSecrets, SlackSettings
from connectors.slack.text import Names, plain
from connectors.suite import ConnectorContract, listing
from tests.servers.json_server import Fault, Reply
from tests.servers.slack_server import SIGNING_SECRET, TOKEN, SlackWorld, signed

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


def ts(day: int, hour: int = 9, second: int = 0) -> str:
    return f"{datetime(2026, 1, day, hour, 0, second, tzinfo=UTC).timestamp():.6f}"


@pytest.fixture
def world() -> Iterator[SlackWorld]:
    world = SlackWorld()
    world.person("U1", "Ada", "ada@acme.test")
    world.person("U2", "Ben", "Ben@Acme.test")
    world.person("U3", "Gus", "gus@guest.test", guest=True)
    world.person("U4", "Gita", "gita@guest.test", guest=True)
    world.person("U5", "Olga", "olga@acme.test", deleted=True)
    world.person("U6", "Robot", "robot@acme.test", bot=True)
    world.person("U7", "Xenia", "xenia@other.test", team="T9")
    world.person("U8", "Nomail")
    world.person("U9", "Claim", "cfo@acme.test", confirmed=False)
    everyone = list(world.people)
    general = world.room("C1", "general", ["U1", "U3", "U5", "U6", "U7"])
    secret = world.room("C2", "merger", ["U1", "U4", "U5", "U7", "U8"], private=True)
    old = world.room("C3", "old-news", [], archived=True)
    shared = world.room("C4", "with-partner", ["U2", "U7"], private=True, ext_shared=True)
    world.room("C5", "no-app", everyone, app_in=False).say(ts(1), "U1", "Unread")
    group = world.room("G1", "mpdm-ada--ben-1", ["U1", "U2"], group_message=True)
    general.say(ts(5), "U1", "How do I book a train? cc <@U2>")
    general.say(ts(5, 10), "U2", "With the *travel* desk.", ts(5))
    general.say(ts(5, 11), "U1", "Lunch is at one.")
    general.say(ts(6), "U2", "The office closes early today.")
    general.say(ts(18), "U1", "New coffee machine.")
    secret.say(ts(17), "U1", "We buy Initech.")
    secret.say(ts(17, 10), "U4", "Price is 4 million.", ts(17))
    old.say(ts(2), "U1", "Archived wisdom.")
    shared.say(ts(8), "U7", "Partner plan.")
    group.say(ts(9), "U1", "Between us.")
    with world.http:
        yield world


def slack(
    world: SlackWorld, *, waits: list[float] | None = None, at: datetime = NOW, **settings: Any
) -> SlackConnector:
    pause = (waits if waits is not None else []).append
    return SlackConnector(
        SlackSettings.model_validate({"api_url": f"{world.http.url}/api", **settings}),
        SlackSecrets(token=SecretStr(world.token), signing_secret=SecretStr(SIGNING_SECRET)),
        Context(http=Http(pause=pause, requests_per_minute=100_000), clock=lambda: at),
    )


def resume(before: Any) -> Mapping[str, Any]:
    state: Mapping[str, Any] = before.checkpoints[-1].state
    return state


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, world: SlackWorld) -> Connector:
        return slack(world)

    @pytest.fixture
    def broken_connector(self, world: SlackWorld) -> Connector:
        world.http.faults.append(Fault("/api/", Reply({"ok": False, "error": "fatal_error"}), 99))
        return slack(world)

    @pytest.fixture
    def changed_connector(self, world: SlackWorld) -> Callable[[], Connector]:
        def change() -> Connector:
            general = world.rooms["C1"]
            general.messages[ts(18)].text = "New tea machine."
            general.messages[ts(18)].edited = ts(19)
            general.say(ts(19), "U2", "Milk is back.")
            world.rooms["C2"].messages.clear()
            return slack(world)

        return change


def can_read(access: Access, groups: Mapping[str, frozenset[str]], email: str) -> bool:
    """Expands groups as the platform does."""
    held: set[str] = set()
    for _ in groups:
        held |= {n for n, m in groups.items() if email in m or m & {f"group:{h}" for h in held}}
    inside = access.known and (email in access.users or bool(access.groups & held))
    return inside and all(can_read(part, groups, email) for part in access.also)


@pytest.mark.parametrize("group_messages", [False, True])
def test_everybody_finds_what_slack_shows_them_and_nothing_else(
    world: SlackWorld, group_messages: bool
) -> None:
    connector = slack(world, group_messages=group_messages)

    def compare() -> int:
        groups, documents = connector.groups(), listing(connector).documents
        for person in world.people.values():
            for id, document in documents.items():
                shown = world.sees(person, world.rooms[id.partition("/")[0]])
                known_to_slack = bool(person.email) and person.confirmed
                expected = shown and known_to_slack
                assert can_read(document.access, groups, person.email.lower()) == expected, (
                    person,
                    id,
                )
            for room in world.rooms.values():  # the same asked live, once a channel
                if person.email and person.confirmed and not person.deleted and room.app_in:
                    live = connector.may_read(f"{room.id}/day/2026-01-05", Reader(person.email))
                    assert live == world.sees(person, room)
        return len(documents)

    assert compare() == (8 if group_messages else 7)
    world.rooms["C2"].members.remove("U1")  # Ada leaves the merger
    world.rooms["C2"].members.append("U2")
    world.rooms["C1"].private = True
    world.people["U2"].guest = True
    compare()
    world.rooms["C1"].members.clear()
    compare()


def test_a_channel_whose_members_cannot_be_told_is_for_nobody(world: SlackWorld) -> None:
    refused = Reply({"ok": False, "error": "fetch_members_failed"})
    world.http.faults.append(Fault("conversations.members", refused, 99))
    groups = slack(world).groups()
    assert groups["channel:C2"] == frozenset()
    assert groups["channel:C1"] == {"group:full-members"}


def test_threads_are_documents_and_the_rest_of_a_day_is_one(world: SlackWorld) -> None:
    documents = listing(slack(world)).documents
    thread = documents[f"C1/thread/{ts(5)}"]
    assert thread.title == "#general: How do I book a train? cc @Ben"
    assert b"With the travel desk." in thread.content
    assert thread.url == f"https://acme.slack.com/archives/C1/p{ts(5).replace('.', '')}"
    day = documents["C1/day/2026-01-05"]
    assert b"Lunch is at one." in day.content
    assert b"train" not in day.content


def test_a_first_reply_moves_a_message_from_its_day_to_a_thread(world: SlackWorld) -> None:
    before = listing(slack(world))
    world.rooms["C1"].say(ts(19), "U2", "It leaks.", ts(18))
    after = listing(slack(world), checkpoint=resume(before), known=before.versions)
    assert after.documents.keys() == {f"C1/thread/{ts(18)}"}
    assert Deletion("C1/day/2026-01-18") in after.changes


def test_recent_days_are_read_again_and_older_ones_by_the_full_pass(world: SlackWorld) -> None:
    before = listing(slack(world))
    world.rooms["C1"].say(ts(5, 10), "U2", "By phone only.", ts(5), edited=ts(19))
    del world.rooms["C3"].messages[ts(2)]
    recent = listing(slack(world), checkpoint=resume(before), known=before.versions)
    assert not recent.documents
    assert not [c for c in recent.changes if isinstance(c, Deletion)]
    later = slack(world, at=NOW + timedelta(hours=25), recent_days=30)
    full = listing(later, checkpoint=resume(recent), known=before.versions)
    assert full.documents.keys() == {f"C1/thread/{ts(5)}"}
    assert Deletion("C3/day/2026-01-02") in full.changes


def test_old_threads_without_a_change_are_not_read_again(world: SlackWorld) -> None:
    before = listing(slack(world, recent_days=1))
    world.http.requests.clear()
    again = listing(
        slack(world, recent_days=1, full_hours=1, at=NOW + timedelta(hours=2)),
        checkpoint=resume(before),
        known=before.versions,
    )
    assert "/api/conversations.replies" not in world.http.paths()
    assert again.present == before.present


def test_a_pass_that_was_cut_off_goes_on_where_it_stood(world: SlackWorld) -> None:
    whole = listing(slack(world))
    taken: list[Any] = []
    for change in slack(world).changes({}, {}):
        taken.append(change)
        if len([c for c in taken if type(c).__name__ == "Checkpoint"]) == 2:
            break
    first = {c.id: c.version for c in taken if isinstance(c, Document)}
    rest = listing(slack(world), checkpoint=taken[-1].state, known=first)
    assert first
    assert rest.documents.keys() == whole.documents.keys() - first.keys()
    assert not [c for c in rest.changes if isinstance(c, Deletion)]


def test_a_channel_that_the_app_left_takes_its_documents_along(world: SlackWorld) -> None:
    before = listing(slack(world))
    world.rooms["C2"].app_in = False
    after = listing(slack(world), checkpoint=resume(before), known=before.versions)
    assert Deletion(f"C2/thread/{ts(17)}") in after.changes
    assert "channel:C2" not in slack(world).groups()


def test_a_channel_that_the_app_joins_is_read_from_its_beginning(world: SlackWorld) -> None:
    before = listing(slack(world, recent_days=3))
    world.rooms["C5"].app_in = True
    after = listing(slack(world, recent_days=3), checkpoint=resume(before), known=before.versions)
    assert after.documents.keys() == {"C5/day/2026-01-01"}


def test_other_settings_read_everything_again(world: SlackWorld) -> None:
    before = listing(slack(world))
    after = listing(slack(world, since_days=3), checkpoint=resume(before), known=before.versions)
    assert after.present == {f"C2/thread/{ts(17)}", "C1/day/2026-01-18"}
    gone = {c.id for c in after.changes if isinstance(c, Deletion)}
    assert gone == before.documents.keys() - after.present


def test_a_named_channel_without_the_app_is_reported(world: SlackWorld) -> None:
    (failure,) = [
        c for c in listing(slack(world, channels=["#no-app"])).changes if isinstance(c, Failure)
    ]
    assert failure.name == "#no-app"
    assert "/invite" in failure.fix


def test_hostile_text_stays_text(world: SlackWorld) -> None:
    world.rooms["C1"].say(
        ts(18, 12), "U1", "&lt;script&gt;x&lt;/script&gt; <script>y</script>\n# Heading\n</h1>"
    )
    content = listing(slack(world)).documents["C1/day/2026-01-18"].content
    assert b"<script" not in content
    assert content.count(b"<h1>") == 1


def test_a_deleted_parent_leaves_its_replies(world: SlackWorld) -> None:
    world.rooms["C1"].messages[ts(5)].gone = True
    document = listing(slack(world)).documents[f"C1/thread/{ts(5)}"]
    assert b"travel desk" in document.content
    assert b"deleted" not in document.content
    (again,) = slack(world).refetch([document.id])
    assert again == document


def test_mrkdwn_becomes_text_and_private_channels_keep_their_names() -> None:
    names = Names({"U2": "Ben"}, {"C1": "general"}, {"S1": "finance-team"})
    text = "*Hi* <@U2>, <#C2|merger> <#C1> <!here> <!subteam^S1> <https://a.test|site> _snake_ a_b_c `*x*` &lt;b&gt;"
    assert plain(text, names) == (
        "Hi @Ben, #private channel #general @here @finance-team site (https://a.test) snake a_b_c `*x*` <b>"
    )


def test_a_busy_slack_is_waited_for(world: SlackWorld) -> None:
    waits: list[float] = []
    busy = Reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "3"})
    world.http.faults.append(Fault("conversations.history", busy, 2))
    assert len(listing(slack(world, waits=waits)).documents) == 7
    assert sum(waits) == pytest.approx(6)


def test_a_revoked_token_is_named_and_never_shown(world: SlackWorld) -> None:
    connector = slack(world)
    world.revoked = True
    checks = connector.validate()
    assert {check.outcome for check in checks} == {Outcome.FAILED}
    with pytest.raises(SourceFault) as fault:
        listing(connector)
    assert "revoked" in fault.value.message
    shown = f"{checks}{fault.value.message}{fault.value.fix}{connector.secrets}"
    assert TOKEN not in shown
    assert SIGNING_SECRET not in shown


def test_a_token_that_dies_in_the_middle_deletes_nothing(world: SlackWorld) -> None:
    before = listing(slack(world))
    connector, taken = slack(world, at=NOW + timedelta(days=2)), []
    with pytest.raises(SourceFault):  # noqa: PT012
        for change in connector.changes(resume(before), before.versions):
            taken.append(change)
            world.revoked = True
    assert not [c for c in taken if isinstance(c, Deletion)]


def test_missing_scopes_are_named(world: SlackWorld) -> None:
    world.scopes -= {"users:read.email", "groups:read"}
    checks = {check.name: check for check in slack(world).validate()}
    assert "groups:read" in checks["content"].message
    assert "users:read.email" in checks["groups"].fix
    assert checks["groups"].outcome is Outcome.FAILED


def test_validate_counts_what_is_seen(world: SlackWorld) -> None:
    checks = {check.name: check for check in slack(world).validate()}
    assert {check.outcome for check in checks.values()} == {Outcome.PASSED}
    assert checks["content"].message.startswith("4 channels of Acme can be read. 1 public")
    assert "2 show no e-mail address" in checks["groups"].message


class TestEvents:
    def call(
        self,
        world: SlackWorld,
        event: dict[str, Any],
        *,
        age: int = 0,
        secret: str = SIGNING_SECRET,
    ) -> Any:
        body, headers = signed(event, int(NOW.timestamp()) - age, secret)
        return slack(world).handle_event(Event(body, headers))

    def inner(self, world: SlackWorld, **event: Any) -> Any:
        return self.call(world, {"type": "event_callback", "event": event})

    def test_the_handshake_gets_its_challenge_back(self, world: SlackWorld) -> None:
        handled = self.call(world, {"type": "url_verification", "challenge": "3eZbr"})
        assert handled.reply == b"3eZbr"

    @pytest.mark.parametrize(
        ("age", "secret"), [(301, SIGNING_SECRET), (-301, SIGNING_SECRET), (0, "wrong")]
    )
    def test_replays_and_forgeries_are_refused(
        self, world: SlackWorld, age: int, secret: str
    ) -> None:
        with pytest.raises(BadEvent):
            self.call(world, {"type": "url_verification", "challenge": "x"}, age=age, secret=secret)

    def test_a_message_names_its_thread_and_day(self, world: SlackWorld) -> None:
        reply = self.inner(world, type="message", channel="C1", ts=ts(19), thread_ts=ts(18))
        assert {f"C1/thread/{ts(18)}", "C1/day/2026-01-18"} <= set(reply.ids)
        plain_one = self.inner(world, type="message", channel="C1", ts=ts(19))
        assert plain_one.ids == ("C1/day/2026-01-19",)

    def test_edits_and_deletions_are_read_again(self, world: SlackWorld) -> None:
        room = world.rooms["C1"]
        room.messages[ts(5, 10)].text = "By phone only."
        changed = self.inner(
            world, type="message", subtype="message_changed", channel="C1", ts=ts(19),
            message={"ts": ts(5, 10), "thread_ts": ts(5)}, previous_message={"ts": ts(5, 10)},
        )  # fmt: skip
        read = {c.id: c for c in slack(world).refetch(changed.ids)}
        document = read[f"C1/thread/{ts(5)}"]
        assert isinstance(document, Document)
        assert b"By phone only" in document.content
        del room.messages[ts(18)]
        deleted = self.inner(
            world, type="message", subtype="message_deleted", channel="C1", ts=ts(19), deleted_ts=ts(18),
            previous_message={"ts": ts(18)},
        )  # fmt: skip
        assert list(slack(world).refetch(deleted.ids)) == [Deletion("C1/day/2026-01-18")]

    @pytest.mark.parametrize("kind", ["member_joined_channel", "member_left_channel"])
    def test_comings_and_goings_ask_for_the_groups(self, world: SlackWorld, kind: str) -> None:
        assert self.inner(world, type=kind, channel="C2", user="U1").groups

    def test_direct_messages_are_never_read(self, world: SlackWorld) -> None:
        told = self.inner(world, type="message", channel="D1", channel_type="im", ts=ts(19))
        assert told.ids == ()
        assert list(slack(world).refetch([f"D1/thread/{ts(19)}"])) == [
            Deletion(f"D1/thread/{ts(19)}")
        ]
