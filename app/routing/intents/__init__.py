"""A classifier that learns intents from examples: text features, a linear model, honest probabilities. numpy only.

`train` makes an `IntentModel` from texts, vectors and labels; `IntentModel.judge` reads one question in about a millisecond.
"""

from app.routing.intents.features import Rows, TextFeatures
from app.routing.intents.linear import LinearModel, fit
from app.routing.intents.model import IntentModel, Judgement, Recipe, train

__all__ = [
    "IntentModel",
    "Judgement",
    "LinearModel",
    "Recipe",
    "Rows",
    "TextFeatures",
    "fit",
    "train",
]
