"""Operational records (incidents; later approvals, dispositions): relational, SQLite beside the lake or the team's PostgreSQL.

They live apart from the Delta tables, so that a swap or an undo of tables never takes them along.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import MetaData, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from lakewarden.audit.places import lake_name, state_folder
from lakewarden.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from lakewarden.lake.store import Store

FOLDER: Final = "_records"
VARIABLE: Final = "LAKEWARDEN_DATABASE_URL"
METADATA: Final = MetaData()
"""All tables of the operational records."""


def database_url(store: Store) -> str:
    """Where a lake's operational records are: `LAKEWARDEN_DATABASE_URL`, else SQLite in the lake's own folder.

    SQLite can't lie in a blob store, so a remote lake's records are then in the user's state folder, by the lake's address.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return named
    folder = store.local / FOLDER if store.local is not None else state_folder() / "records" / lake_name(store.root)
    return f"sqlite:///{folder / 'records.db'}"


def connect(url: str) -> Engine:
    """Open the database, with its tables made where they are missing.

    Raises:
        ConfigurationError: the URL is none.
        StorageError: the database can't be reached or written.
    """
    try:
        engine = create_engine(url, poolclass=NullPool)  # a few statements an hour: no connection is worth keeping
    except ImportError as error:
        raise ConfigurationError(
            f"{VARIABLE} names a database whose driver isn't installed: {error.name}", next="pip install 'lakewarden[postgres]'"
        ) from error
    except SQLAlchemyError:  # its words are left out: they could quote a password
        raise ConfigurationError(
            f"{VARIABLE} names no database that can be used.", next=f"set {VARIABLE}=postgresql+psycopg://... or sqlite:///..."
        ) from None
    if engine.dialect.name == "sqlite":
        _make_folder(engine)
        event.listen(engine, "connect", _wait_for_other_writers)
    for left in reversed(range(len(METADATA.tables) + 1)):
        try:
            METADATA.create_all(engine)
            break
        except SQLAlchemyError as error:  # also when another process makes the same tables at this moment: one more is there each time
            if not left:
                raise records_error("open", error) from error
    return engine


def _make_folder(engine: Engine) -> None:
    if engine.url.database:
        try:
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Can't open the operational records: {error.strerror} ({error.filename})", state="nothing was done", next=f"set {VARIABLE}"
            ) from error


def records_error(act: str, error: SQLAlchemyError) -> StorageError:
    """Turn the database's error into ours; the URL, which may hold a password, stays out of it."""
    cause = str(getattr(error, "orig", None) or error).strip().split("\n")[0][:300]
    return StorageError(
        f"Can't {act} the operational records: {cause}", state="the tables of the lake were not touched", next="check the database"
    )


def _wait_for_other_writers(connection: object, record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # a DB-API connection, which has no type of its own
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()
