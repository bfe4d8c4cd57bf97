"""SQL over the published tables, by DuckDB. Reading only; all tables at one published point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakewarden.errors import QueryError
from lakewarden.tables import BRONZE

if TYPE_CHECKING:
    import pyarrow.dataset
    from deltalake import DeltaTable

    from lakewarden.lake.lakehouse import Lakehouse


@dataclass(frozen=True)
class QueryReport:
    """Rows of a query as objects; `truncated` when a limit left some out."""

    data: list[dict[str, Any]]
    columns: list[str]
    truncated: bool
    seconds: float
    point: int
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "rows": len(self.data),
            "columns": self.columns,
            "data": self.data,
            "truncated": self.truncated,
            "seconds": round(self.seconds, 3),
            "point": self.point,
        }


def sql(lake: Lakehouse, query: str, limit: int | None, monotonic: Callable[[], float]) -> QueryReport:
    """Run one query.

    Args:
        query: DuckDB's dialect; the tables are there by name.
        limit: most rows to give; None: all.
        monotonic: a timer.

    Raises:
        QueryError: it can't be parsed or run, or would change something.
    """
    import duckdb

    started = monotonic()
    snapshot = lake.snapshot()
    with duckdb.connect(":memory:", config={"autoinstall_known_extensions": False}) as db:
        try:
            db.execute("SET TimeZone='UTC'")
            for name, table in snapshot.tables.items():
                db.register(name if name != BRONZE.name else f"_{name}", _dataset(lake, name, table))
            db.execute(f"CREATE VIEW {BRONZE.name} AS FROM _{BRONZE.name} WHERE batch <= {snapshot.point.batch}")
            db.execute("SET enable_external_access=false")
            db.execute("SET lock_configuration=true")
            statements = db.extract_statements(query)
            if len(statements) != 1:
                raise QueryError(
                    f"Give one query; this text holds {len(statements)}.", state="nothing was run", next="lakewarden sql 'SELECT ...'"
                )
            cursor = db.execute(statements[0])
            columns = [column[0] for column in cursor.description or []]
            rows = cursor.fetchmany(limit + 1) if limit is not None else cursor.fetchall()
        except duckdb.Error as error:
            raise QueryError(
                f"The query can't be run: {str(error).partition('Traceback')[0].strip()}",
                state="nothing was changed",
                next="lakewarden tables; lakewarden sql 'DESCRIBE transactions_silver'",
            ) from error
    truncated = limit is not None and len(rows) > limit
    data = [dict(zip(columns, row, strict=True)) for row in (rows[:limit] if truncated else rows)]
    return QueryReport(data, columns, truncated, monotonic() - started, snapshot.point.point)


def _dataset(lake: Lakehouse, name: str, table: DeltaTable) -> pyarrow.dataset.Dataset:
    """A table for DuckDB to read.

    Read by Arrow's own file system where that is possible: delta-rs's calls back into Python, and a scan that a LIMIT has cut short
    still does so while the interpreter ends, which then hangs or aborts.
    """
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    local = lake.store.local
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(str(local / name), LocalFileSystem()) if local else None)
