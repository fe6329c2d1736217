"""What can be looked up: the models and passages a person may use, the receipts of their own answers, what they have left."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlmodel import Session, col, select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.access import readable
from app.api.body import AUTO
from app.api.gate import Caller, Gate, Visit
from app.api.wire import receipt_usage, source_json
from app.budgets import Told, money, told
from app.chat.views import receipt_adapter
from app.db.tables import TurnRow
from app.db.types import new_id
from app.domain import Json, ModelDecision, Passage, Person, Receipt, now
from app.errors import InputError, NotFound
from app.records.events import AccessDenied, ReceiptRead, SearchDone

if TYPE_CHECKING:
    from app.wiring import Services

MODELS = "/v1/models"
SEARCH = "/v1/search"
RECEIPT = "/v1/receipts/{id}"
BUDGETS = "/v1/budgets"
MOST_PASSAGES = 20
LONGEST_QUERY = 2000


class Lookups:
    """Each endpoint is one trip to a thread."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def models(self, request: Request) -> Response:
        visit = Visit.of(request, MODELS)
        return await self._services.turns.in_pool(functools.partial(self._models, visit))

    async def search(self, request: Request) -> Response:
        visit = Visit.of(request, SEARCH)
        query, limit = request.query_params.get("q", ""), request.query_params.get("limit", "6")
        return await self._services.turns.in_pool(
            functools.partial(self._search, visit, query, limit)
        )

    async def receipt(self, request: Request) -> Response:
        visit = Visit.of(request, RECEIPT)
        turn_id = str(request.path_params["id"])
        return await self._services.turns.in_pool(functools.partial(self._receipt, visit, turn_id))

    async def budgets(self, request: Request) -> Response:
        visit = Visit.of(request, BUDGETS)
        return await self._services.turns.in_pool(functools.partial(self._budgets, visit))

    def _models(self, visit: Visit) -> Response:
        caller = self._gate.enter(visit)
        policy, person = self._services.policy, caller.person
        allowed = [
            card
            for card in self._services.catalogue.cards()
            if card.offered
            and policy.use_model(person, card.id, card.provider, card.local, card.audience)
        ]
        data: list[Json] = [_model(AUTO, "switchboard", "Chosen by question, data and policy")]
        data += [
            {
                **_model(card.id, card.provider, card.label),
                "context_tokens": card.context_tokens,
                "clearance": card.clearance.label,
            }
            for card in allowed
        ]
        return _json({"object": "list", "data": data}, caller)

    def _search(self, visit: Visit, query: str, limit: str) -> Response:
        caller = self._gate.enter(visit)
        query = query.strip()
        if not 1 <= len(query) <= LONGEST_QUERY:
            raise InputError(f"`q` must have 1 to {LONGEST_QUERY} characters.")
        if not limit.isdecimal() or not 1 <= int(limit) <= MOST_PASSAGES:
            raise InputError(f"`limit` must be a number from 1 to {MOST_PASSAGES}.")
        services, person = self._services, caller.person
        vector = services.embedder.query(query)
        found = services.search.search(query, vector, person, int(limit))
        search_id = new_id("search")
        services.ledger.record(
            SearchDone(
                actor=person.id,
                subject=search_id,
                documents={p.document_id: p.basis.principal for p in found.passages},
                withheld=found.withheld,
            )
        )
        data = [
            {**source_json(p), "text": p.text, "score": round(p.score, 4)} for p in found.passages
        ]
        body = {"object": "list", "id": search_id, "first_sync": found.first_sync, "data": data}
        return _json(body, caller)

    def _receipt(self, visit: Visit, turn_id: str) -> Response:
        caller = self._gate.enter(visit)
        row = self._permitted(caller.person, turn_id)
        receipt = receipt_adapter.validate_python(row.receipt)
        with self._services.database.read() as session:
            body = receipt_json(session, caller.person, receipt)
        return _json({"status": row.status, **body}, caller)

    def _budgets(self, visit: Visit) -> Response:
        caller = self._gate.enter(visit)
        budgets = self._services.budgets
        found = told(budgets.book.of_person(caller.person), budgets.zone)
        return _json({"object": "list", "data": [budget_json(one) for one in found]}, caller)

    def _permitted(self, person: Person, turn_id: str) -> TurnRow:
        """One's own, or anybody's for whoever looks after the log, which is recorded. NotFound in the same words otherwise."""
        services = self._services
        with services.database.read() as session:
            row = session.exec(select(TurnRow).where(col(TurnRow.id) == turn_id)).one_or_none()
        if row is not None and row.person_id != person.id:
            decision = services.policy.administer(person, "audit")
            if decision.allowed:
                services.ledger.record(
                    ReceiptRead(actor=person.id, subject=turn_id, person=row.person_id)
                )
            else:
                services.ledger.record(
                    AccessDenied(
                        actor=person.id,
                        subject=turn_id,
                        action="read the receipt",
                        reason=decision.reason,
                        policy=decision.policy,
                    )
                )
                row = None
        if row is None or not row.receipt:
            raise NotFound(
                "There is no such receipt among yours.",
                fix="Check the id; a receipt exists once its answer has ended.",
            )
        return row


def receipt_json(session: Session, person: Person, receipt: Receipt) -> Json:
    """What `person` may see of a receipt now. Of a document that they may no longer read nothing is named."""
    ids = {passage.document_id for passage in receipt.passages}
    open_now = readable(session, person, ids, now=now())

    def source(passage: Passage) -> Json:
        if passage.document_id not in open_now:
            return {"withheld": True}
        return source_json(passage)

    intent, route = receipt.intent, receipt.route
    return {
        "object": "receipt",
        "id": receipt.id,
        "intent": intent
        and {
            "name": intent.name,
            "score": intent.score,
            "runner_up": intent.runner_up,
            "runner_up_score": intent.runner_up_score,
            "chosen_by": intent.chosen_by,
            "asked": intent.opinion and asdict(intent.opinion),
        },
        "model": receipt.model,
        "reason": route.reason if route else "",
        "considered": [_decision(one) for one in route.decisions] if route else [],
        "attempts": [_decision(one) for one in receipt.attempts],
        "parts": [{"model": part.model, "characters": part.characters} for part in receipt.parts],
        "prompt": {
            "name": receipt.prompt_name,
            "version": receipt.prompt_version,
            "sha256": receipt.prompt_sha,
        },
        "citations": [{"number": c.number, **source(c.passage)} for c in receipt.citations],
        "passages": [source(passage) for passage in receipt.passages],
        "first_sync": receipt.first_sync,
        "data_class": receipt.data_class.label,
        "usage": receipt_usage(receipt),
        "stages_ms": {stage.name: stage.ms for stage in receipt.stages},
        "first_token_ms": receipt.first_token_ms,
        "total_ms": receipt.total_ms,
    }


def budget_json(one: Told) -> Json:
    """Amounts of the caller's own budget only."""
    standing, budget = one.standing, one.standing.budget
    said: Json = {
        "object": "budget",
        "scope": budget.scope,
        "period": budget.period,
        "notice": one.notice,
        "says": one.words,
        "renews_on": standing.renews_on.isoformat(),
    }
    if not one.own:
        return said
    return {
        **said,
        "limit_usd": money.usd(standing.limit_micro),
        "spent_usd": money.usd(standing.spent_micro),
        "held_usd": money.usd(standing.reserved_micro),
        "left_usd": money.usd(standing.left_micro),
    }


def _decision(one: ModelDecision) -> Json:
    return {"model": one.model, "allowed": one.allowed, "reason": one.reason}


def _model(model_id: str, owner: str, label: str) -> Json:
    """`created` is part of the format; a catalogue has no such date."""
    return {"id": model_id, "object": "model", "created": 0, "owned_by": owner, "label": label}


def _json(body: Json, caller: Caller) -> Response:
    return JSONResponse(body, headers=dict(caller.headers))
