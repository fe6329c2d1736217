"""Which model answers: what a question is for (`IntentClassifier`), what there is (`Catalogue`), what is chosen and why
(`choose`). Start reading at routes.toml, then choice.py."""

from app.routing.cards import ModelCard
from app.routing.catalogue import Catalogue
from app.routing.choice import ModelPolicy, choose
from app.routing.classifier import IntentClassifier, in_context
from app.routing.fit import Choosing, Fitted, Matter, fit
from app.routing.gate import Gate, form_for
from app.routing.health import Health, ModelHealth
from app.routing.live import InForce, Intents
from app.routing.table import RouteEntry, RoutingTable

__all__ = [
    "Catalogue",
    "Choosing",
    "Fitted",
    "Gate",
    "Health",
    "InForce",
    "IntentClassifier",
    "Intents",
    "Matter",
    "ModelCard",
    "ModelHealth",
    "ModelPolicy",
    "RouteEntry",
    "RoutingTable",
    "choose",
    "fit",
    "form_for",
    "in_context",
]
