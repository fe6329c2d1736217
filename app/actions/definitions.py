"""Every button there is: one frozen value an action. What it is called, who it is for, what it asks and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from app import form_faults
from app.actions import more_budget, prefill, tickets, webhook
from app.actions.effects import Effect, InTransaction, Outside
from app.actions.forms import Form, MessageForm, MoreBudgetForm, TicketForm
from app.actions.prefill import Conversation, Prefilled
from app.domain import Json, Person
from app.settings import Settings

Risk = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class ActionDefinition:
    """`name`, `label` and `risk` are the catalogue's too, where policy finds them; a test compares.

    `payload` makes exactly what happens or is sent out of the person and the form; `offered` says whether the installation
    has what the action needs. What is not `after_answers` no route can offer: it comes where it is needed.
    """

    name: str
    label: str
    help: str
    who: str
    risk: Risk
    parameters: type[Form]
    prefill: Callable[[Conversation], Prefilled]
    payload: Callable[[Person, Any], Json]
    effect: Effect
    offered: Callable[[Settings], bool] = lambda _settings: True
    after_answers: bool = True
    asks: str = ""
    of_another: str = ""

    @property
    def name_of_request(self) -> str:
        """What a request is called where others read of it."""
        return self.of_another or self.label

    @property
    def request(self) -> str:
        """What somebody wants who sent it, to follow their name."""
        return self.asks or f"wants to {self.label[0].lower()}{self.label[1:]}"

    def problems(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Field name to a sentence of what to do about it; empty when the form can be sent."""
        try:
            self.parameters.model_validate(dict(arguments))
        except ValidationError as error:
            return form_faults.told(self.parameters, error)
        return {}


def _ticket_payload(person: Person, form: TicketForm) -> Json:
    return {**form.model_dump(), "requested_by": person.email}


def _message_payload(person: Person, form: MessageForm) -> Json:
    return {
        "type": "switchboard.message",
        **form.model_dump(),
        "requested_by": {"name": person.name, "email": person.email, "team": person.team},
    }


def _more_budget(
    *, name: str, label: str, help: str, asks: str, of_another: str, who: str
) -> ActionDefinition:
    return ActionDefinition(
        name=name,
        label=label,
        help=help,
        asks=asks,
        of_another=of_another,
        who=who,
        risk="medium",
        parameters=MoreBudgetForm,
        prefill=more_budget.prefilled,
        payload=more_budget.payload,
        effect=InTransaction(more_budget.grant),
        after_answers=False,
    )


ACTIONS: tuple[ActionDefinition, ...] = (
    ActionDefinition(
        name="open_ticket",
        label="Open a ticket",
        help="Writes to the request desk. You see the ticket under My requests.",
        who="Everyone; it runs at once.",
        risk="low",
        parameters=TicketForm,
        prefill=prefill.ticket,
        payload=_ticket_payload,
        effect=InTransaction(tickets.open_ticket),
    ),
    ActionDefinition(
        name="send_webhook",
        label="Send a message",
        help="Posts it to the service that your admin connected, such as Zapier, Make or n8n.",
        who="Everyone; for employees it waits for their team lead.",
        risk="medium",
        parameters=MessageForm,
        prefill=prefill.message,
        payload=_message_payload,
        effect=Outside(webhook.send),
        offered=lambda settings: bool(settings.webhook_url),
    ),
    _more_budget(
        name=more_budget.OWN,
        label="Request more of your budget",
        help="Asks for more money for your questions until your budget renews. The budget itself stays as it is.",
        asks="asks for more of their own budget",
        of_another="More of their own budget",
        who="Everyone; it waits for their team lead, a lead's own for an admin.",
    ),
    _more_budget(
        name=more_budget.SHARED,
        label="Request more of this budget",
        help="Asks for more money for everybody who shares this budget, until it renews.",
        asks="asks for more of a budget that others share",
        of_another="More of a budget that others share",
        who="Everyone; it waits for an admin.",
    ),
)
