"""A whole Switchboard without a server: people with sessions, a few documents, a scripted model on a loop of its own.

Pages run in Streamlit's own AppTest. They get the services as in production (`wiring.use`) and the person as their session
resolves them, so nothing is let through that a cookie would not let through.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import delete
from streamlit.testing.v1 import AppTest

from app import wiring
from app.db.tables import ConversationRow, GoldenQuestionRow
from app.domain import DataClass, ModelCall, Offer, Person, Role
from app.llm.scripted import ScriptedModel
from app.routing import ModelCard
from app.settings import Settings
from app.wiring import Services

PEOPLE = {
    "Ada": (Role.EMPLOYEE, "Sales", ("sales",)),
    "Tom": (Role.TEAM_LEAD, "Sales", ("sales",)),
    "Ben": (Role.EMPLOYEE, "Support", ()),
    "Noor": (Role.ADMIN, "Operations", ()),
}
PAPERS = {
    "everyone": (
        "everyone = true",
        "# Travel policy\n\nBook every trip at the travel desk, seven days ahead.\n",
    ),
    "sales": ('groups = ["sales"]', "# Escalation list\n\nZirkon Ltd escalates to Tom Okafor.\n"),
    "broken": ("everyone = true", ""),
}


@dataclass
class Desk:
    """`people` by first name, each with a session. `pieces` is what the model answers next, if not the ordinary."""

    services: Services
    people: dict[str, Person]
    connector: str
    pieces: list[str] = field(default_factory=list)

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = [json.loads(line)["event"] for line in self.services.ledger.export()]
        return [event for event in found if event["type"] == kind]

    def document(self, title: str) -> str:
        for item in self.services.sync.preview_as(self.people["Noor"]):
            if item.title == title:
                return item.document_id
        raise AssertionError(f"no document {title}")


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("ui")
    settings = Settings(
        data_dir=folder / "data",
        demo=False,
        local_model=False,
        openai_api_key="",
        anthropic_api_key="",
        webhook_url="http://127.0.0.1:9/hook",
    )
    services = wiring.build(settings)
    people = add_people(services)
    for name, (access, text) in PAPERS.items():
        (folder / "docs" / name).mkdir(parents=True)
        (folder / "docs" / name / "access.toml").write_text(f"[access]\n{access}\n")
        (folder / "docs" / name / "note.md").write_text(text)
    path = {"path": str(folder / "docs")}
    desk = Desk(services, people, services.sync.add(people["Noor"], "folder", "Notes", path, 3600))
    services.sync.run_once(desk.connector)
    model = ScriptedModel(answer=lambda call: desk.pieces or ordinary(call))
    services.catalogue.add(card(), model, "compatible")
    with running_loop() as loop:
        services.turns.attach(loop, services.stages())
        services.durable.launch()
        wiring.use(services)
        yield desk
        wiring.use(None)
        asyncio.run_coroutine_threadsafe(services.turns.drain(5), loop).result()
        services.durable.shutdown()
    services.close()


@pytest.fixture(scope="module", autouse=True)
def without_traffic(desk: Desk) -> None:
    """Files share a desk: what the tests of one asked and rated must not count in the next."""
    with desk.services.database.write() as session:
        session.execute(delete(GoldenQuestionRow))
        session.execute(delete(ConversationRow))


@pytest.fixture(autouse=True)
def plain_answers(request: pytest.FixtureRequest) -> None:
    if "desk" in request.fixturenames:
        request.getfixturevalue("desk").pieces.clear()


def ordinary(call: ModelCall) -> list[str]:
    return ["Book ", "early ", "[1]." if call.passages else "please."]


def card() -> ModelCard:
    return ModelCard(
        id="scripted",
        label="Scripted model (local, for tests)",
        provider="scripted",
        model_name="scripted",
        context_tokens=32_000,
        price_in=1.0,
        price_out=2.0,
        clearance=DataClass.RESTRICTED,
        local=False,
    )


def add_people(services: Services) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for name, (role, team, groups) in PEOPLE.items():
        with services.database.write() as session:
            row = services.identity.accounts.upsert(
                session,
                issuer="test",
                subject=name,
                email=f"{name.lower()}@example.test",
                name=f"{name} Example",
                role=role,
                team=team,
                groups=groups,
            )
            person_id = row.id
        person = services.identity.sessions.resolve(services.identity.sessions.create(person_id))
        assert person is not None
        people[name] = person
    return people


class running_loop:
    """An event loop in a thread, as the server's is."""

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self._loop

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


OpenPage = Callable[..., AppTest]


@pytest.fixture
def open_page(desk: Desk) -> OpenPage:
    """`open_page("Ada", "keys", id="…")` opens a page as the navigation does, policy included, with a query."""

    def open_it(who: str, name: str, **query: str) -> AppTest:
        test = AppTest.from_function(_page, default_timeout=90)
        test.session_state["who"], test.session_state["page"] = desk.people[who], name
        for key, value in query.items():
            test.query_params[key] = value
        return test.run()

    return open_it


def _page() -> None:
    import streamlit as st

    from app import wiring
    from app.ui import navigation
    from app.ui.widgets import conversations

    services = wiring.current()
    entry = next(page for page in navigation.PAGES if page.name == st.session_state["page"])
    person = services.identity.sessions.resume(st.session_state["who"].session_id)
    assert person is not None
    if entry.name == "chat":
        with st.sidebar:
            conversations.draw(services, person, None, on_chat=True)
    navigation._opener(services, person, entry)()


def html(test: AppTest) -> str:
    """Everything on the page itself that was drawn as HTML."""
    return "\n".join(element.proto.body for element in test.main.get("html"))


def form_of(person: Person, offer: Offer, turn_id: str = "", conversation_id: str = "") -> AppTest:
    """The dialog of an offer as a page of its own: AppTest cannot press a button inside a dialog."""
    test = AppTest.from_function(_form, default_timeout=90)
    test.session_state["asked"] = (person, offer, turn_id, conversation_id)
    return test.run()


def _form() -> None:
    import streamlit as st

    from app import wiring
    from app.ui.widgets import offers

    offers._form(wiring.current(), *st.session_state["asked"])


def press(test: AppTest, label: str) -> AppTest:
    """The first button of this label."""
    return next(b for b in test.button if b.label == label).click().run()
