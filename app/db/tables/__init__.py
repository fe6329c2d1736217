"""Every table, by room. Importing this package registers all of them with SQLModel's metadata."""

from app.db.tables.chat import ConversationRow, TurnRow
from app.db.tables.identity import (
    ApiKeyRow,
    GroupMemberRow,
    IssuerCodeRow,
    IssuerKeyRow,
    LoginAttemptRow,
    PersonPrincipalRow,
    PersonRow,
    SessionRow,
)
from app.db.tables.knowledge import (
    ChunkRow,
    ConnectorRow,
    DocumentReaderRow,
    DocumentRow,
    OutboxRow,
    SyncFailureRow,
    SyncRunRow,
)
from app.db.tables.work import (
    ActionRequestRow,
    ChainHeadRow,
    EventRow,
    ModelSettingRow,
    TicketRow,
    UsageFactRow,
    UsageRollupRow,
)

__all__ = [
    "ActionRequestRow",
    "ApiKeyRow",
    "ChainHeadRow",
    "ChunkRow",
    "ConnectorRow",
    "ConversationRow",
    "DocumentReaderRow",
    "DocumentRow",
    "EventRow",
    "GroupMemberRow",
    "IssuerCodeRow",
    "IssuerKeyRow",
    "LoginAttemptRow",
    "ModelSettingRow",
    "OutboxRow",
    "PersonPrincipalRow",
    "PersonRow",
    "SessionRow",
    "SyncFailureRow",
    "SyncRunRow",
    "TicketRow",
    "TurnRow",
    "UsageFactRow",
    "UsageRollupRow",
]
