"""Calls that somebody was not told of yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "untold_calls",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("ring", sa.String(length=40), nullable=False),
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("user", "ring"),
    )
    op.create_index("untold_calls_in_order", "untold_calls", ["at"], unique=False)
