"""What is logged. `Ledger.append` inside the transaction that changes something; `events` is the closed union."""

from app.records.ledger import Ledger

__all__ = ["Ledger"]
