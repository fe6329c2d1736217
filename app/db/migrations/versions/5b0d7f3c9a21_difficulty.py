"""difficulty"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.db.types

revision = "5b0d7f3c9a21"
down_revision = "02ce6e92196e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "difficulty",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("intent", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("form", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("outcomes", sa.JSON(), nullable=False),
        sa.Column("answer_tokens", sa.JSON(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("learned_at", app.db.types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("intent", "number"),
    )
    with op.batch_alter_table("difficulty", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_difficulty_intent"), ["intent"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("difficulty", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_difficulty_intent"))

    op.drop_table("difficulty")
