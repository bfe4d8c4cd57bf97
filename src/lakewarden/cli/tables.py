"""`init`, `status`, `tables`, `sql`: the lake and what is in it."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import named, opened
from lakewarden.cli.options import JsonOption, LakeOption, TaughtCommand, commands, examples

app = commands()


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden init --lake ./lake",
        "lakewarden init --lake az://compliance/lake",
        "LAKEWARDEN_LAKE=./lake lakewarden init --json",
    ),
)
def init(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Make an empty lake.

    It gets its tables, the default rules and a first release. A lake that is there already is left as it is.
    """
    with Face("init", as_json) as face:
        path = named(lake)
        from lakewarden import app as product  # heavy

        face.show(product.init(path).init_report)


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden status --lake ./lake",
        "lakewarden status --lake ./lake --json | jq .published",
    ),
)
def status(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Show how the lake stands.

    The published point, the release in force, counts, latency, and which stream holds the lake.
    """
    with Face("status", as_json) as face:
        face.show(opened(lake).status())


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden tables --lake ./lake",
        "lakewarden tables --lake ./lake --json",
    ),
)
def tables(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the tables at the published point.

    For each: version, rows, files, bytes, partition columns.
    """
    with Face("tables", as_json) as face:
        face.show(opened(lake).tables())


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden sql --lake ./lake "SELECT risk_band, count(*) AS n FROM risk_scores_gold GROUP BY 1"',
        'lakewarden sql --lake ./lake "SELECT * FROM anomaly_alerts ORDER BY risk_score DESC LIMIT 5"',
        'lakewarden sql --lake ./lake --limit 0 --json "FROM transactions_dlq" > dead_letters.json',
        'lakewarden sql --lake ./lake "DESCRIBE transactions_silver"',
    ),
)
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SQL query, in DuckDB's dialect.")],
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Most rows to show; 0 for all.")] = 1000,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the tables a question in SQL.

    All tables are read at one published point, so a query never sees half a micro-batch. Nothing can be changed this way.
    """
    with Face("sql", as_json) as face:
        face.show(opened(lake).sql(query, limit=limit or None))
