"""`python -m app check`: what works, what does not and why, and what cannot be known from here.

Every check answers pass, fail or unknown; unknown is honest about a check that needs something which is not there (a running
app, a network). Works while the app runs and while it does not, and changes nothing that the next start would not change.
"""

from app.preflight.result import Outcome, Result, table
from app.preflight.run import CHECKS, examine, run_checks

__all__ = ["CHECKS", "Outcome", "Result", "examine", "run_checks", "table"]
