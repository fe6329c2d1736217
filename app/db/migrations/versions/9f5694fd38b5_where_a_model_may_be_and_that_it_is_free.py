"""where a model may be, and that it is free"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.db.types

revision = "9f5694fd38b5"
down_revision = "25cb56a9cebd"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Models that are there already keep working: until now their address was judged when they were added, and never since.
    with op.batch_alter_table("model", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("inside", sa.Boolean(), nullable=False, server_default=sa.true())
        )

    with op.batch_alter_table("model", schema=None) as batch_op:
        batch_op.alter_column("inside", server_default=None)

    with op.batch_alter_table("model_setting", schema=None) as batch_op:
        batch_op.add_column(sa.Column("inside", sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column("free", sa.Boolean(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("model_setting", schema=None) as batch_op:
        batch_op.drop_column("free")
        batch_op.drop_column("inside")

    with op.batch_alter_table("model", schema=None) as batch_op:
        batch_op.drop_column("inside")
