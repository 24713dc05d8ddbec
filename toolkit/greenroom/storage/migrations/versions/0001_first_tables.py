"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_types",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("grants", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "operations",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("op", sa.String(length=100), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("user", "op"),
    )
    op.create_table(
        "rooms",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("grants", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("live_since", sa.Float(), nullable=True),
        sa.Column("starts_at", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("active_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("cid"),
    )
    op.create_index("rooms_by_activity", "rooms", ["ended_at", "active_at"], unique=False)
    op.create_table(
        "server",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "sessions",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("bound_to", sa.String(length=100), nullable=True),
        sa.Column("rooms", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_index("sessions_by_previous", "sessions", ["previous_hash"], unique=False)
    op.create_index("sessions_by_token", "sessions", ["token_hash"], unique=False)
    op.create_table(
        "blocks",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cid", "user"),
    )
    op.create_table(
        "hands",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("hands_once", "hands", ["cid", "user"], unique=True)
    op.create_table(
        "invitations",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cid", "user"),
    )
    op.create_table(
        "members",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cid", "user"),
    )
    op.create_index("members_by_user", "members", ["user"], unique=False)
    op.create_table(
        "messages",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("edited_at", sa.Float(), nullable=True),
        sa.Column("deleted_by", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("messages_in_order", "messages", ["cid", "position"], unique=False)
    op.create_index("messages_once", "messages", ["cid", "id"], unique=True)
    op.create_table(
        "overrides",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("granted", sa.Text(), nullable=False),
        sa.Column("revoked", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cid", "user"),
    )
    op.create_table(
        "participations",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("joined_at", sa.Float(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("left_at", sa.Float(), nullable=True),
        sa.Column("reason", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cid", "user", "joined_at"),
    )
    op.create_table(
        "quality",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("fraction_lost", sa.Float(), nullable=False),
        sa.Column("jitter_ms", sa.Float(), nullable=False),
        sa.Column("rtt_ms", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("quality_in_room", "quality", ["cid", "at"], unique=False)
    op.create_table(
        "spoken",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("spoken_in_room", "spoken", ["cid", "user"], unique=False)
    op.create_table(
        "turns",
        sa.Column("cid", sa.String(length=100), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["cid"], ["rooms.cid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cid", "user"),
    )
