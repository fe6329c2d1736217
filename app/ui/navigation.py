"""Which pages there are, which of them this person may open, and the sidebar that leads there.

Every page has its address whether or not it is listed. Opening one asks the policy at that moment; the list in the sidebar is
only a convenience and may be as old as the person's role.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st
import structlog

from app.access.policy import require
from app.domain import Person
from app.errors import Denied, SwitchboardError
from app.ui.widgets import conversations, page
from app.ui.widgets.passage import passage_dialog
from app.ui.widgets.words import text
from app.wiring import Services

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PageEntry:
    """`name` is the file under screens/ and the policy's name for it; `group` heads its part of the sidebar."""

    name: str
    title: str
    path: str
    icon: str = ""
    group: str = ""


PAGES: tuple[PageEntry, ...] = (
    PageEntry("chat", "Chat", ""),
    PageEntry("document", "Document", "document"),
    PageEntry("waiting", "Waiting for you", "waiting", ":material/inbox:", "You"),
    PageEntry("requests", "My requests", "requests", ":material/outbox:", "You"),
    PageEntry("my_usage", "My usage", "my-usage", ":material/monitoring:", "You"),
    PageEntry("keys", "Keys", "keys", ":material/key:", "You"),
    PageEntry("usage", "Usage", "usage", ":material/bar_chart:", "Manage"),
    PageEntry("admin_connectors", "Connectors", "connectors", ":material/hub:", "Manage"),
    PageEntry("admin_models", "Models", "models", ":material/network_node:", "Manage"),
    PageEntry("admin_routes", "Routes", "routes", ":material/alt_route:", "Manage"),
    PageEntry("admin_intents", "Intents", "intents", ":material/category:", "Manage"),
    PageEntry("admin_budgets", "Budgets", "budgets", ":material/savings:", "Manage"),
    PageEntry("admin_people", "People", "people", ":material/group:", "Manage"),
    PageEntry("admin_audit", "Audit", "audit", ":material/fact_check:", "Manage"),
)


def run(services: Services, person: Person) -> None:
    """Draws the sidebar, then the page of this address."""
    pages = {
        entry.name: st.Page(
            _opener(services, person, entry),
            title="Switchboard" if entry.name == "chat" else f"{entry.title} · Switchboard",
            url_path=entry.path or None,
            default=entry.name == "chat",
        )
        for entry in PAGES
    }
    current = st.navigation(list(pages.values()), position="hidden")
    with st.sidebar:
        _sidebar(services, person, pages, on_chat=current is pages["chat"])
        heard = page.pressed("links", "chat", "more", "passage", "go")
    match heard:
        case ("chat", conversation_id):
            conversations.open_chat(pages["chat"], conversation_id, current is pages["chat"])
        case ("more", conversation_id):
            conversations.change_dialog(services, person, conversation_id)
        case ("passage", turn_id, number):
            passage_dialog(services, person, turn_id, number)
        case ("go", name, key) if name in pages:
            st.switch_page(pages[name], query_params={"id": key})
    current.run()


def _opener(services: Services, person: Person, entry: PageEntry) -> Callable[[], None]:
    def open_page() -> None:
        try:
            require(
                services.policy.open_page(person, entry.name),
                person,
                f"open the page '{entry.title}'",
                services.ledger,
            )
            importlib.import_module(f"app.ui.screens.{entry.name}").render(services, person)
        except Denied as error:
            _denied(error)
        except SwitchboardError as error:
            page.trouble(error)
        except Exception as error:
            # The last line of defence of a page: the cause goes to the log, the person gets a way out.
            log.exception("page failed", page=entry.name, error=type(error).__name__)
            page.note("red", "This page broke.", "Reload it. If it stays, tell your admin.")

    return open_page


def _denied(error: Denied) -> None:
    st.html(
        '<div class="sb-gate" role="alert"><h1>Not for you</h1>'
        f"<p>{text(error.message)} {text(error.reason)} {text(error.fix)}</p>"
        '<a class="sb-button" href="/">Back to your chats</a></div>'
    )


def listed(services: Services, person: Person) -> tuple[str, ...]:
    """The pages to show in the sidebar, remembered for as long as the person's role and team stay."""
    who = (person.id, person.role, person.team)
    known = st.session_state.get("listed")
    if known is None or known[0] != who:
        names = tuple(e.name for e in PAGES if services.policy.open_page(person, e.name))
        known = st.session_state["listed"] = (who, names)
    return tuple(known[1])


def _sidebar(
    services: Services, person: Person, pages: Mapping[str, st.Page], *, on_chat: bool
) -> None:
    st.html(f'<div class="sb-brand">{page.mark()}Switchboard</div>')
    conversations.draw(services, person, pages["chat"], on_chat=on_chat)
    names = listed(services, person)
    waiting = len(services.actions.waiting_for(person)) if "waiting" in names else 0
    group = ""
    for entry in PAGES:
        if not entry.group or entry.name not in names:
            continue
        if entry.group != group:
            group = entry.group
            st.html(f'<div class="sb-group">{group}</div>')
        label = (
            f"{entry.title} · **{waiting}**" if entry.name == "waiting" and waiting else entry.title
        )
        st.page_link(pages[entry.name], label=label, icon=entry.icon)
    st.html(
        f'<div class="sb-me"><div><span title="{text(person.email)}">{text(person.name)}</span>'
        f"<small>{text(person.team or person.role.label)}</small></div>"
        '<a href="/auth/logout">Sign out</a></div>'
    )
