"""The tables, as SQLAlchemy Core knows them. `migrations/` brings a database here; a test compares the two.

Times are wall-clock seconds since 1970. Columns that hold a value of the protocol as a whole (settings, grants,
sets of capabilities) are JSON text. `position` columns keep the order in which rows came.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

# SQLite counts up an INTEGER PRIMARY KEY only; PostgreSQL wants the room of a BIGINT.
_COUNTER = BigInteger().with_variant(Integer(), "sqlite")


def _cid(**options: bool) -> Column[str]:
    return Column("cid", String(100), ForeignKey("rooms.cid", ondelete="CASCADE"), **options)  # type: ignore[arg-type]  # plain flags


def _user(**options: bool) -> Column[str]:
    return Column("user", String(64), **options)  # type: ignore[arg-type]  # plain flags


server = Table(
    "server",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

rooms = Table(
    "rooms",
    metadata,
    Column("cid", String(100), primary_key=True),
    Column("title", Text, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("settings", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("live_since", Float),
    Column("starts_at", Float),
    Column("ended_at", Float),
    Column("active_at", Float, nullable=False),
    Index("rooms_by_activity", "ended_at", "active_at"),
)

members = Table(
    "members",
    metadata,
    _cid(primary_key=True),
    _user(primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(32), nullable=False),
    Column("position", Integer, nullable=False),
    Index("members_by_user", "user"),
)

overrides = Table(
    "overrides",
    metadata,
    _cid(primary_key=True),
    _user(primary_key=True),
    Column("granted", Text, nullable=False),
    Column("revoked", Text, nullable=False),
)

hands = Table(
    "hands",
    metadata,
    Column("position", _COUNTER, primary_key=True, autoincrement=True),
    _cid(nullable=False),
    _user(nullable=False),
    Column("name", Text, nullable=False),
    Column("raised_at", Float, nullable=False),
    Index("hands_once", "cid", "user", unique=True),
)

invitations = Table(
    "invitations",
    metadata,
    _cid(primary_key=True),
    _user(primary_key=True),
    Column("by", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    _cid(primary_key=True),
    _user(primary_key=True),
    Column("by", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    _cid(primary_key=True),
    _user(primary_key=True),
    Column("count", Integer, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("position", _COUNTER, primary_key=True, autoincrement=True),
    _cid(nullable=False),
    Column("id", String(40), nullable=False),
    _user(nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("edited_at", Float),
    Column("deleted_by", String(64)),
    Index("messages_once", "cid", "id", unique=True),
    Index("messages_in_order", "cid", "position"),
)

call_types = Table(
    "call_types",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("settings", Text, nullable=False),
    Column("grants", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    _user(primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", String(32), nullable=False),
    Column("bound_to", String(100)),
    Column("rooms", Text, nullable=False),
    Column("expires_at", Float),
    Index("sessions_by_token", "token_hash"),
    Index("sessions_by_previous", "previous_hash"),
)

operations = Table(
    "operations",
    metadata,
    _user(primary_key=True),
    Column("op", String(100), primary_key=True),
    Column("at", Float, nullable=False),
)

participations = Table(
    "participations",
    metadata,
    _cid(primary_key=True),
    _user(primary_key=True),
    Column("joined_at", Float, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(32), nullable=False),
    Column("left_at", Float),
    Column("reason", String(16)),
)

spoken = Table(
    "spoken",
    metadata,
    Column("position", _COUNTER, primary_key=True, autoincrement=True),
    _cid(nullable=False),
    _user(nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float, nullable=False),
    Index("spoken_in_room", "cid", "user"),
)

quality = Table(
    "quality",
    metadata,
    Column("position", _COUNTER, primary_key=True, autoincrement=True),
    _cid(nullable=False),
    _user(nullable=False),
    Column("at", Float, nullable=False),
    Column("fraction_lost", Float, nullable=False),
    Column("jitter_ms", Float, nullable=False),
    Column("rtt_ms", Float),
    Index("quality_in_room", "cid", "at"),
)

call_urls = Table(
    "call_urls",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("cid", String(100)),
    Column("to", String(64)),
    Column("media", String(16), nullable=False),
    Column("role", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("by_role", String(32), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("revoked_at", Float),
    Index("call_urls_in_order", "made_at", "id"),
    Index("call_urls_by", "by"),
)

call_url_uses = Table(
    "call_url_uses",
    metadata,
    Column("url", String(40), ForeignKey("call_urls.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt_hash", String(64), primary_key=True),
    _user(nullable=False),
    Column("cid", String(100), nullable=False),
    Column("at", Float, nullable=False),
)

# A record outlives its room, and one made by hand may name a room that never was: no foreign key.
records = Table(
    "records",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("cid", String(100), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("by", String(64), nullable=False),
    Column("by_name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("initiated_at", Float, nullable=False),
    Column("answered_at", Float),
    Column("ended_at", Float),
    Column("reason", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Index("records_in_order", "initiated_at", "id"),
    Index("records_in_room", "cid", "initiated_at"),
    Index("records_by", "by", "initiated_at"),
    Index("records_open", "ended_at"),
)

record_people = Table(
    "record_people",
    metadata,
    Column("record", String(40), ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    _user(primary_key=True),
    Column("name", Text, nullable=False),
    Column("answer", String(16), nullable=False, default=""),
    Column("joined_at", Float),
    Column("present_since", Float),
    Column("left_at", Float),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("theirs", Boolean, nullable=False, default=True),
    Index("record_people_by_user", "user", "record"),
)

untold_calls = Table(
    "untold_calls",
    metadata,
    _user(primary_key=True),
    Column("ring", String(40), primary_key=True),
    Column("cid", String(100), nullable=False),
    Column("by", String(64), nullable=False),
    Column("by_name", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Index("untold_calls_in_order", "at"),
)
