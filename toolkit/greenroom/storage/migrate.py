"""Bring a database to the version this program was written for."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from greenroom.errors import StorageFailed
from greenroom.storage.schema import metadata

HEAD = "0003"
KNOWN = ("0001", "0002", HEAD)
"""Every version this program can read, oldest first; a test holds it against the scripts."""


def migrate(connection: sa.Connection) -> None:
    """Upgrade the database behind `connection` to `HEAD`. Raises `StorageFailed` when a newer Greenroom wrote it."""
    at = _version(connection)
    if at == HEAD:
        return
    if at is None and not sa.inspect(connection).get_table_names():
        _make(connection)
        return
    if at is not None and at not in KNOWN:
        raise StorageFailed(
            f"the database is of version '{at}', which this Greenroom (up to '{HEAD}') does not know; "
            "it was written by a newer one: update Greenroom, or use another database"
        )
    from alembic import command  # only when there is something to do: it costs a third of a second
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make(connection: sa.Connection) -> None:
    """Make the tables of a new database at once; a test holds that migrating makes the same."""
    metadata.create_all(connection)
    version = sa.table("alembic_version", sa.column("version_num"))
    connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(sa.insert(version).values(version_num=HEAD))


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return version
