"""Lists in which two options would read the same: Streamlit takes a choice by what it reads, so each must read differently."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete
from sqlmodel import col

from app.db.tables import GoldenQuestionRow, ModelRow, PersonPrincipalRow, PersonRow, RehearsalRow
from app.domain import Role
from app.rehearsal import Golden
from app.routing.added import NewModel
from app.routing.swaps import Draft
from tests.ui.conftest import Desk, OpenPage, press
from tests.ui.test_routes_page import TRAVEL


@pytest.fixture
def twins(desk: Desk) -> Iterator[tuple[str, str]]:
    """The ids of two models of one name, as an older version stored them."""
    catalogue, noor = desk.services.catalogue, desk.people["Noor"]
    ids = [catalogue.add_model(noor, NewModel("openai", f"assist-{n}")) for n in "ab"]
    with desk.services.database.write() as session:
        for id in ids:
            row = session.get(ModelRow, id)
            assert row is not None
            row.label = "Assist"
    for id in ids:
        catalogue.change(noor, id, price_in=1.0, price_out=1.0)
    yield ids[0], ids[1]
    if (draft := desk.services.versions.open_version(TRAVEL)) is not None:
        desk.services.versions.discard(noor, draft.id)
    for id in ids:
        catalogue.remove_model(noor, id)


def test_the_model_picked_for_a_chat_is_the_one_that_was_pressed(
    open_page: OpenPage, twins: tuple[str, str]
) -> None:
    test = open_page("Ada", "chat")
    box = test.selectbox(key="model")
    assert len(set(box.options)) == len(box.options)
    assert test.selectbox(key="model").set_value(twins[1]).run().session_state["model"] == twins[1]


def test_a_route_holds_the_model_that_was_pressed(
    desk: Desk, open_page: OpenPage, twins: tuple[str, str]
) -> None:
    test = open_page("Noor", "admin_routes", id=TRAVEL)
    assert len(set(test.multiselect[0].options)) == len(test.multiselect[0].options)
    test.multiselect[0].set_value([twins[1]])
    press(test, "Save the draft")
    draft = desk.services.versions.open_version(TRAVEL)
    assert draft is not None
    assert draft.models == [twins[1]]


def test_a_rehearsal_is_judged_and_looked_at_as_pressed(
    desk: Desk, open_page: OpenPage, twins: tuple[str, str]
) -> None:
    noor = desk.people["Noor"]
    version = desk.services.versions.draft(noor, TRAVEL, Draft(("reader",), "grounded")).id
    desk.services.rehearsals.golden.add(noor, TRAVEL, Golden("How do I book a trip?"))
    with desk.services.database.write() as session:
        for _ in "ab":
            side = {"models": ["reader"], "prompt": "grounded"}
            session.add(
                RehearsalRow(
                    version_id=version, intent=TRAVEL, number=1, person_id=noor.id, questions=1,
                    status="cancelled", before=side, after=side,
                )
            )  # fmt: skip
    try:
        test = open_page("Noor", "admin_routes", id=TRAVEL)
        judges = next(s for s in test.selectbox if s.label == "Judge")
        assert len(set(judges.options)) == len(judges.options)
        judges.set_value(twins[1]).run()
        assert next(s for s in test.selectbox if s.label == "Judge").value == twins[1]
        past = next(s for s in test.selectbox if s.label == "Rehearsals")
        assert len(set(past.options)) == 2
    finally:
        with desk.services.database.write() as session:
            session.execute(delete(RehearsalRow))
            session.execute(delete(GoldenQuestionRow))


def test_people_of_one_name_are_told_apart(desk: Desk, open_page: OpenPage) -> None:
    accounts = desk.services.identity.accounts
    with desk.services.database.write() as session:
        twin = accounts.upsert(
            session, issuer="test", subject="other Ada", email="ada2@example.test",
            name="Ada Example", role=Role.EMPLOYEE, team="Sales", groups=(),
        ).id  # fmt: skip
    try:
        for where, label in (
            (open_page("Noor", "admin_connectors", id=desk.connector), "View as"),
            (open_page("Noor", "admin_audit"), "Person"),
        ):
            box = next(s for s in where.selectbox if s.label == label)
            assert len(set(box.options)) == len(box.options)
            box.set_value(twin).run()
            assert next(s for s in where.selectbox if s.label == label).value == twin
    finally:
        with desk.services.database.write() as session:
            session.execute(
                delete(PersonPrincipalRow).where(col(PersonPrincipalRow.person_id) == twin)
            )
            session.execute(delete(PersonRow).where(col(PersonRow.id) == twin))
