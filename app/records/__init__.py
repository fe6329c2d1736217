"""What is logged. `Ledger.append` inside the transaction that changes something; `events` is the closed union; `EventLog` reads."""

from app.records.ledger import Ledger
from app.records.read import EventFilter, EventLog, EventPage, EventView

__all__ = ["EventFilter", "EventLog", "EventPage", "EventView", "Ledger"]
