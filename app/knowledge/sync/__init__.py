"""From sources to documents, readers, chunks and the index: `engine` does one sync, `Sync` is what pages and commands call.

SQL is written first, in one transaction with an outbox; the index follows the outbox. A crash in between heals itself.
"""

from app.knowledge.sync.overview import ConnectorStatus, Preview
from app.knowledge.sync.service import Sync
from app.knowledge.sync.sources import ConnectorKind

__all__ = ["ConnectorKind", "ConnectorStatus", "Preview", "Sync"]
