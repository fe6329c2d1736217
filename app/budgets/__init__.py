"""Budgets: how much a company, team, person, model or intent may spend in a day or month.

`Budgets` holds the room: `BudgetBook` is what admins set and how it stands, `Reservations` hold money before each call and settle it after.
`TeamBudgets` are for team leads, `told` is for the person who asks.
"""

from app.budgets.book import BudgetBook
from app.budgets.budget import EACH, Budget, Spender, Standing, SumKey, applying
from app.budgets.budgets import Budgets
from app.budgets.reservations import Estimate, Reservations
from app.budgets.sweep import Sweep
from app.budgets.team import TeamBudgets, TeamStandings
from app.budgets.telling import Told, told

__all__ = [
    "EACH",
    "Budget",
    "BudgetBook",
    "Budgets",
    "Estimate",
    "Reservations",
    "Spender",
    "Standing",
    "SumKey",
    "Sweep",
    "TeamBudgets",
    "TeamStandings",
    "Told",
    "applying",
    "told",
]
