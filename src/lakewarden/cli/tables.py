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
        "lakewarden status --lake ./lake --watch                      # live, until Ctrl-C",
        "lakewarden status --lake ./lake --watch --json | jq .pulse.lag # one object a line",
    ),
)
def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show how the stream stands, live, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option("--interval", metavar="S", min=0.1, help="With --watch: seconds between two looks.")] = 1.0,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the lake stands.

    The published point, the release in force, counts, latency, which stream holds the lake, and that stream's pulse:
    lag, rate, latency against the service level, skew, troubles. Watched, it scans no table, so it may run all day.
    """
    with Face("status", as_json) as face:
        if watch:
            from lakewarden.cli.watch import watch as look  # Rich loads here

            look(opened(lake), face, interval, as_json)
        else:
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
