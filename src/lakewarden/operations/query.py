"""SQL over the published tables, by DuckDB. Reading only; all tables at one published point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.errors import QueryError
from lakewarden.lake.log import active_files
from lakewarden.tables import BRONZE, TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lakewarden.lake.lakehouse import Lakehouse, Snapshot


@dataclass(frozen=True)
class QueryReport:
    """Rows of a query as objects; `truncated` when a limit left some out; what the published point tells readers."""

    data: list[dict[str, Any]]
    columns: list[str]
    truncated: bool
    seconds: float
    point: int
    notice: str = ""
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
            **({"notice": self.notice} if self.notice else {}),
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
            for name in snapshot.tables:
                _define(db, lake, snapshot, name, query)
            if lake.store.local is not None:
                db.execute(f"SET allowed_directories=[{_quoted(str(lake.store.local))}]")
            db.execute("SET enable_external_access=false")
            db.execute("SET lock_configuration=true")
            statements = db.extract_statements(query)
            if len(statements) != 1:
                raise QueryError(
                    f"Give one query; this text holds {len(statements)}.", state="nothing was run", next="lakewarden sql 'SELECT ...'"
                )
            if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
                raise QueryError(
                    f"Queries only read; this is {statements[0].type.name}.", state="nothing was run", next="lakewarden sql 'SELECT ...'"
                )
            answer = db.sql(query)
            found = pl.DataFrame((answer if limit is None else answer.limit(limit + 1)).to_arrow_table())
        except duckdb.Error as error:
            raise QueryError(
                f"The query can't be run: {str(error).strip()}",
                state="nothing was changed",
                next="lakewarden tables; lakewarden sql 'DESCRIBE transactions_silver'",
            ) from error
    whole = [name for name, dtype in found.schema.items() if isinstance(dtype, pl.Decimal) and dtype.scale == 0]
    found = found.with_columns(pl.col(whole).cast(pl.Int128))  # DuckDB sums integers as HUGEINT, which Arrow has as a decimal
    most = found.height if limit is None else limit
    truncated = found.height > most
    data = found.head(most).to_dicts()
    return QueryReport(data, found.columns, truncated, monotonic() - started, snapshot.point.point, snapshot.point.notice)


def _define(db: DuckDBPyConnection, lake: Lakehouse, snapshot: Snapshot, name: str, query: str) -> None:
    """Make a table of the lake a view: DuckDB reads a local lake's files itself, a remote one's rows come through Polars."""
    spec = TABLES[name]
    files = active_files(snapshot.tables[name], spec.partition_by)
    if lake.store.local is None or not files:
        rows = snapshot.scan(name).collect() if files and name in query else pl.DataFrame(schema=spec.columns)
        db.register(name, rows.to_arrow())
        return
    paths = ", ".join(_quoted(f"{lake.store.local}/{name}/{file.path}") for file in files)
    types = ", ".join(f"{column}: {'DATE' if spec.columns[column] == pl.Date else 'VARCHAR'}" for column in spec.partition_by)
    hive = f", hive_partitioning=true, hive_types={{{types}}}" if spec.partition_by else ", hive_partitioning=false"
    behind = f" WHERE batch <= {snapshot.point.batch}" if name == BRONZE.name else ""
    db.execute(f"CREATE VIEW {name} AS SELECT {', '.join(spec.columns)} FROM read_parquet([{paths}]{hive}){behind}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
