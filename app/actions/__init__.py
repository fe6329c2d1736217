"""What a button does: `definitions` lists every action, `ActionDesk` offers, takes, approves and runs them.

A model proposes nothing and runs nothing: a person presses, policy decides, and the exact payload they saw is what happens.
"""

from app.actions.definitions import ACTIONS, ActionDefinition
from app.actions.desk import ActionDesk

__all__ = ["ACTIONS", "ActionDefinition", "ActionDesk"]
