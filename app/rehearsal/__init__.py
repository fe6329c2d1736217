"""Rehearsal of a draft: golden sets (`GoldenSets`; answers.py fills them from good answers), both routes on them side by side (`Rehearsals`), and what is measured
(measure.py). side.py is the turn's stages without a turn, till.py pays for them."""

from app.rehearsal.answers import Candidate, GoodAnswers
from app.rehearsal.estimate import Estimate
from app.rehearsal.exchange import golden_csv, golden_jsonl, read_golden
from app.rehearsal.golden import Golden, GoldenSets
from app.rehearsal.measure import Side, sign_test
from app.rehearsal.rehearsals import Rehearsals
from app.rehearsal.report import Figures, figures, results_csv, why_stopped
from app.rehearsal.runs import Result, Runs

__all__ = [
    "Candidate",
    "Estimate",
    "Figures",
    "Golden",
    "GoldenSets",
    "GoodAnswers",
    "Rehearsals",
    "Result",
    "Runs",
    "Side",
    "figures",
    "golden_csv",
    "golden_jsonl",
    "read_golden",
    "results_csv",
    "sign_test",
    "why_stopped",
]
