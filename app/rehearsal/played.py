"""One golden question of a rehearsal while it is asked: both drafts, what came of them, and what of it goes into the log."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.chat.events import model_calls, screened
from app.draft import Draft
from app.records.events import Event, SearchDone
from app.rehearsal.golden import Golden
from app.rehearsal.judge import Judge, Opinion
from app.rehearsal.measure import Side
from app.rehearsal.side import Scene, unpaid


@dataclass
class Played:
    """One question so far. `before` is the published route's side, `after` the draft's."""

    id: str
    golden: Golden
    scene: Scene | None = None
    before_draft: Draft | None = None
    after_draft: Draft | None = None
    before: Side = field(default_factory=Side)
    after: Side = field(default_factory=Side)
    judge: Judge | None = None
    opinion: Opinion | None = None

    @property
    def drafts(self) -> list[Draft]:
        return [draft for draft in (self.before_draft, self.after_draft) if draft is not None]

    @property
    def answered(self) -> bool:
        return bool(self.before.answer or self.after.answer)

    @property
    def unpaid(self) -> str:
        """Which budget had no room for a side; empty where both could be paid for."""
        return next((why for draft in self.drafts if (why := unpaid(draft))), "")

    def events(self) -> list[Event]:
        """What was searched, screened, asked and refused by a budget."""
        if self.scene is None:
            return []
        question, found = self.scene.question, self.scene.found
        events: list[Event] = []
        if found.searched:
            documents = {p.document_id: p.basis.principal for p in found.passages}
            events.append(
                SearchDone(
                    actor=question.person.id,
                    subject=self.id,
                    documents=documents,
                    withheld=found.withheld,
                )
            )
        for draft in self.drafts:
            events += [*screened(question, draft), *model_calls(question, draft)]
            outcome = "failed" if unpaid(draft) else "finished"
            events += draft.purse.blocked(question.person.id, outcome)
        if self.judge is not None:
            events += [*self.judge.calls, *self.judge.blocked]
        return events
