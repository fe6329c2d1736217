"""Personal data and secrets in people's own words. `Screen.look` finds them, says what class they make of a question, and makes
the form with placeholders; what is done with each kind is in handling.toml, a file under review.
"""

from app.access.sensitive.findings import Detector, Finding, Kind
from app.access.sensitive.handling import Handling
from app.access.sensitive.placeholders import Placeholders, Restorer
from app.access.sensitive.screen import Screen, Screening, Wording

__all__ = [
    "Detector",
    "Finding",
    "Handling",
    "Kind",
    "Placeholders",
    "Restorer",
    "Screen",
    "Screening",
    "Wording",
]
