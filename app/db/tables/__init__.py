"""Every table, by room. Importing this package registers all of them with SQLModel's metadata."""

from app.db.tables.budgets import BudgetReservationRow, BudgetRow, BudgetSumRow
from app.db.tables.catalogue import ModelRow, ProviderKeyRow
from app.db.tables.chat import ConversationRow, TurnRow
from app.db.tables.identity import (
    ApiKeyRow,
    AudienceRow,
    GroupMemberRow,
    IssuerCodeRow,
    IssuerKeyRow,
    LoginAttemptRow,
    PersonPrincipalRow,
    PersonRow,
    SessionRow,
)
from app.db.tables.intents import (
    IntentCorrectionRow,
    IntentDraftRow,
    IntentVersionRow,
    QuestionSharingRow,
)
from app.db.tables.knowledge import (
    ChunkRow,
    ConnectorRow,
    CredentialRow,
    DocumentReaderRow,
    DocumentRow,
    OutboxRow,
    ReaderChangeRow,
    SecretRow,
    SyncFailureRow,
    SyncRequestRow,
    SyncRunRow,
)
from app.db.tables.rehearsals import GoldenQuestionRow, RehearsalResultRow, RehearsalRow
from app.db.tables.swaps import DifficultyRow, RouteOutcomeRow, RouteVersionRow
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
    "AudienceRow",
    "BudgetReservationRow",
    "BudgetRow",
    "BudgetSumRow",
    "ChainHeadRow",
    "ChunkRow",
    "ConnectorRow",
    "ConversationRow",
    "CredentialRow",
    "DifficultyRow",
    "DocumentReaderRow",
    "DocumentRow",
    "EventRow",
    "GoldenQuestionRow",
    "GroupMemberRow",
    "IntentCorrectionRow",
    "IntentDraftRow",
    "IntentVersionRow",
    "IssuerCodeRow",
    "IssuerKeyRow",
    "LoginAttemptRow",
    "ModelRow",
    "ModelSettingRow",
    "OutboxRow",
    "PersonPrincipalRow",
    "PersonRow",
    "ProviderKeyRow",
    "QuestionSharingRow",
    "ReaderChangeRow",
    "RehearsalResultRow",
    "RehearsalRow",
    "RouteOutcomeRow",
    "RouteVersionRow",
    "SecretRow",
    "SessionRow",
    "SyncFailureRow",
    "SyncRequestRow",
    "SyncRunRow",
    "TicketRow",
    "TurnRow",
    "UsageFactRow",
    "UsageRollupRow",
]
