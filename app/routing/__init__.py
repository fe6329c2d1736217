"""Which model answers: what a question is for (`IntentClassifier`), what there is (`Catalogue`), what is chosen and why
(`choose`). Start reading at routes.toml, then choice.py."""

from app.routing.cards import ModelCard
from app.routing.catalogue import Catalogue
from app.routing.choice import ModelPolicy, choose
from app.routing.classifier import IntentClassifier
from app.routing.health import Health, ModelHealth
from app.routing.table import RouteEntry, RoutingTable

__all__ = [
    "Catalogue",
    "Health",
    "IntentClassifier",
    "ModelCard",
    "ModelHealth",
    "ModelPolicy",
    "RouteEntry",
    "RoutingTable",
    "choose",
]
