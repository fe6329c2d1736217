"""What a turn writes, and when: at its start, before the model is asked, while it runs, and at its end.

Each is one transaction that changes the turn and records the events that go with it.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import Session, col

from app.chat.events import asked, model_calls, screened
from app.chat.past import hide_from, past_of
from app.chat.statements import statements
from app.chat.store import NO_CHAT, owned_turn, title_of
from app.chat.views import offer_json, receipt_json
from app.db import Database
from app.db.tables import RouteOutcomeRow, TurnRow
from app.db.types import new_id
from app.domain import Exchange, Offer, Person, Question, Receipt, now
from app.draft import Draft
from app.errors import InputError, NotFound
from app.records import Ledger
from app.records.events import Answered, RouteChosen, SearchDone, WordsScreened
from app.usage import facts

MAX_QUESTION = 20_000
TURN_DEFAULTS = {
    "status": "running",
    "answer": "",
    "error": "",
    "intent": "",
    "model": "",
    "receipt": {},
    "offers": [],
    "feedback_comment": "",
}


class Journal:
    """The only writer of turns."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    def begin(
        self,
        person: Person,
        conversation_id: str | None,
        text: str,
        *,
        model_wish: str | None,
        replaces: str | None,
        channel: str,
        past: tuple[Exchange, ...] | None,
    ) -> Question:
        """Stores the question, in a new conversation if none is named. `past` overrides the stored history.

        `replaces` hides that turn and everything after it. Raises InputError for an empty or oversized question and NotFound
        for somebody else's conversation.
        """
        text = usable(text)
        turn_id, at = new_id("turn"), now()
        with self._database.write() as session:
            position, known = 0, past or ()
            if replaces and conversation_id is None:
                conversation_id = owned_turn(session, person, replaces).conversation_id
            if conversation_id is None:
                conversation_id = self._new_conversation(session, person, text, channel)
            else:
                self._reopen(session, person, conversation_id)
                if replaces:
                    hide_from(session, person, conversation_id, replaces)
                position, stored = past_of(session, conversation_id)
                known = stored if past is None else past
            session.connection().execute(
                statements().add_turn,
                {
                    **TURN_DEFAULTS,
                    "id": turn_id,
                    "conversation_id": conversation_id,
                    "person_id": person.id,
                    "position": position,
                    "question": text,
                    "model_wish": model_wish,
                    "replaces": replaces,
                    "started_at": at,
                    "heartbeat_at": at,
                },
            )
            self._ledger.append(session, asked(person, turn_id, conversation_id, channel, text))
        return Question(
            turn_id=turn_id,
            conversation_id=conversation_id,
            person=person,
            text=text,
            history=known,
            model_wish=model_wish,
            channel="api" if channel == "api" else "page",
        )

    def _new_conversation(self, session: Session, person: Person, text: str, channel: str) -> str:
        conversation_id, at = new_id("chat"), now()
        session.connection().execute(
            statements().add_conversation,
            {
                "id": conversation_id,
                "person_id": person.id,
                "title": title_of(text),
                "channel": channel,
                "created_at": at,
                "updated_at": at,
            },
        )
        return conversation_id

    def _reopen(self, session: Session, person: Person, conversation_id: str) -> None:
        connection = session.connection()
        named = {"conversation": conversation_id}
        if connection.execute(statements().owner, named).scalar_one_or_none() != person.id:
            raise NotFound(NO_CHAT)
        connection.execute(statements().touch_conversation, {**named, "at": now()})

    def before_model(self, question: Question, draft: Draft) -> None:
        """Records which way was chosen and what was found, before the model's first word is shown."""
        route, intent = draft.route, draft.intent
        if route is None or intent is None:
            return
        actor, subject = question.person.id, question.turn_id
        events: list[RouteChosen | SearchDone | WordsScreened] = [
            *screened(question, draft),
            RouteChosen(
                actor=actor,
                subject=subject,
                intent=intent.name,
                score=round(intent.score, 4),
                runner_up=intent.runner_up,
                runner_up_score=round(intent.runner_up_score, 4),
                intents_version=intent.version,
                intent_corrections=intent.corrections,
                intent_asked=intent.opinion.model if intent.opinion else "",
                intent_said=(intent.opinion.said or intent.opinion.why) if intent.opinion else "",
                model=route.model,
                reason=route.reason,
                left_out={d.model: d.reason for d in route.decisions if not d.allowed},
                data_class=draft.sent_class(route.model).label,
                version=route.version,
                arm=route.arm,
            ),
        ]
        if draft.found.searched:
            events.append(
                SearchDone(
                    actor=actor,
                    subject=subject,
                    documents={p.document_id: p.basis.principal for p in draft.found.passages},
                    withheld=draft.found.withheld,
                )
            )
        with self._database.write() as session:
            if route.arm:
                _count(session, question.turn_id, route.canary, route.arm)
            self._ledger.append(session, *events)

    def progress(self, turn_id: str, text: str) -> None:
        """Keeps what has arrived, and shows that this process is alive."""
        with self._database.write() as session:
            session.connection().execute(
                statements().progress, {"turn": turn_id, "text": text, "at": now()}
            )

    def end(
        self,
        question: Question,
        draft: Draft,
        status: str,
        text: str,
        receipt: Receipt,
        *,
        error: str = "",
        offers: tuple[Offer, ...] = (),
    ) -> None:
        """`status` is finished, stopped or failed. `text` has its citations renumbered. A turn ends once: later calls
        change nothing, so a stop that races the end is harmless."""
        at = now()
        draft.purse.close()
        with self._database.write() as session:
            draft.purse.settle(session)
            ended = session.connection().execute(
                statements().end,
                {
                    "turn": question.turn_id,
                    "new_status": status,
                    "text": text,
                    "problem": error,
                    "intent_name": draft.intent.name if draft.intent else "",
                    "model_id": draft.model,
                    "receipt_json": receipt_json(receipt),
                    "offers_json": [offer_json(offer) for offer in offers],
                    "at": at,
                },
            )
            if not ended.rowcount:
                return
            if (entry := draft.broken) is not None and entry.arm:
                _count(session, question.turn_id, entry.canary, entry.arm)
            self._ledger.append(
                session,
                *(() if draft.route else screened(question, draft)),
                *draft.purse.blocked(question.person.id, status),
                *model_calls(question, draft),
                Answered(
                    actor=question.person.id,
                    subject=question.turn_id,
                    status=status,
                    model=draft.model,
                    citations={str(c.number): c.passage.document_id for c in receipt.citations},
                    characters=len(text),
                    total_ms=receipt.total_ms,
                ),
            )
            facts.turn_finished(
                session,
                turn_id=question.turn_id,
                person_id=question.person.id,
                team=question.person.team,
                intent=draft.intent.name if draft.intent else "",
                model=draft.model,
                status=status,
                cost_usd=draft.cost_usd,
                usage=draft.usage,
                with_sources=bool(receipt.citations),
                at=at,
            )

    def interrupt_running(self, *, older_than_s: float) -> int:
        """Marks turns whose process died; called at start. Answers how many."""
        with self._database.write() as session:
            rows = session.execute(
                select(TurnRow).where(col(TurnRow.status) == "running")
            ).scalars()
            stale = [
                row
                for row in rows
                if (now() - (row.heartbeat_at or row.started_at)).total_seconds() >= older_than_s
            ]
            for row in stale:
                row.status, row.finished_at = "interrupted", now()
                session.add(row)
            events = [
                Answered(
                    subject=row.id,
                    status="interrupted",
                    model="",
                    citations={},
                    characters=len(row.answer),
                    total_ms=0.0,
                )
                for row in stale
            ]
            self._ledger.append(session, *events)
        return len(stale)


def _count(session: Session, turn_id: str, canary_id: str, arm: str) -> None:
    """Towards one side of a canary's comparison."""
    session.add(RouteOutcomeRow(turn_id=turn_id, canary_id=canary_id, arm=arm, at=now()))


def usable(text: str) -> str:
    """The question without the space around it. Raises InputError when it is empty or oversized."""
    text = text.strip()
    if not text:
        raise InputError("The question is empty.", fix="Type what you want to know.")
    if len(text) > MAX_QUESTION:
        raise InputError(
            f"The question has {len(text):,} characters; {MAX_QUESTION:,} fit.",
            fix="Shorten it, or ask in parts.",
        )
    return text
