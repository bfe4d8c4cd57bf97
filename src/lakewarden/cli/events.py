"""`simulate`, `stream`: events made and events taken in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import (
    ConfigOption,
    Engine,
    EngineOption,
    JsonOption,
    LakeOption,
    MappingOption,
    SeedOption,
    TaughtCommand,
    commands,
    examples,
    parsed_date,
)
from lakewarden.cli.signals import GracefulStop

app = commands()


class Faults(StrEnum):
    """Which upstream faults a simulation carries."""

    none = "none"
    default = "default"
    all = "all"


class LogLevel(StrEnum):
    """The least that a stream's log holds."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class Compression(StrEnum):
    """How a simulation's event files are compressed."""

    none = "none"
    gzip = "gzip"
    zstd = "zstd"


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden simulate --out sim --seed 7 --days 3",
        "lakewarden simulate --out sim --seed 7 --days 30 --faults all --customers 50000",
        "lakewarden simulate --out live --seed 1 --days 1 --rate 1200   # 1,200 events a second, in real time",
        "lakewarden simulate --out kafka://127.0.0.1:9092/transactions-stream --rate 1200 --companions sim",
    ),
)
def simulate(
    *,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder to write to, or a kafka:// or eventhub:// topic.")],
    seed: SeedOption = 7,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, help="Days of events.")] = 3,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", min=0.001, help="Events a second; as fast as it can without.")
    ] = None,
    faults: Annotated[Faults, typer.Option("--faults", help="Labelled upstream faults to mix in.")] = Faults.default,
    customers: Annotated[int | None, typer.Option("--customers", metavar="N", min=1, help="Number of customers.")] = None,
    events_per_day: Annotated[int | None, typer.Option("--events-per-day", metavar="N", min=1, help="Events on a usual day.")] = None,
    compress: Annotated[Compression, typer.Option("--compress", help="Compress the event files.")] = Compression.none,
    start: Annotated[str | None, typer.Option("--start", metavar="YYYY-MM-DD", help="First day; 2026-01-05 without.")] = None,
    companions: Annotated[
        str | None, typer.Option("--companions", metavar="DIR", help="With a topic: folder for labels, reference data, system of record.")
    ] = None,
    source_config: ConfigOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier simulation in that folder.")] = False,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make events with labelled fraud and labelled faults.

    Simulates customers, accounts, cards and transfers, and writes events, fraud and fault labels, reference data
    (KYC, limits, counterparties, watchlist, FX) and the system-of-record extract that belong together. It needs no
    lake; --lake is accepted and not used.
    """
    with Face("simulate", as_json) as face, GracefulStop() as stop:
        from lakewarden import app as product  # heavy

        face.show(
            product.simulate(
                out,
                seed=seed,
                days=days,
                rate=rate,
                faults=faults.value,
                customers=customers,
                events_per_day=events_per_day,
                compress=compress.value,
                start=parsed_date(start) if start else None,
                companions=companions,
                sink_config=source_config,
                overwrite=overwrite,
                on_progress=face.progress,
                stop=stop.event,
            )
        )


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden stream --lake ./lake --source sim --once        # all there is, then leave",
        "lakewarden stream --lake ./lake --source incoming/         # watch the folder until Ctrl-C",
        "lakewarden stream --lake ./lake --source handbook.parquet --mapping examples/handbook.yaml --once",
        "lakewarden stream --lake ./lake --source incoming/ --batch-rows 20000 --batch-seconds 0.1",
        "lakewarden stream --lake ./lake --source kafka://127.0.0.1:9092/transactions-stream",
        "lakewarden stream --lake ./lake --source eventhub://NAMESPACE/transactions-stream --start latest",
        "lakewarden stream --lake ./lake --source incoming/ --metrics-port 9464 --log stream.log",
        "lakewarden stream --lake ./lake --source incoming/ --engine spark --batch-rows 500000",
    ),
)
def stream(
    *,
    source: Annotated[
        str, typer.Option("--source", metavar="SOURCE", help="File or folder (JSON lines, CSV, Parquet), kafka:// or eventhub:// topic.")
    ],
    mapping: MappingOption = None,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="WHERE", help="Of a topic not read before: earliest, latest, a time, or 0:1200,1:0 (offsets)."),
    ] = None,
    source_config: ConfigOption = None,
    once: Annotated[bool, typer.Option("--once", help="Take what is there and leave, instead of watching for more.")] = False,
    batch_rows: Annotated[int | None, typer.Option("--batch-rows", metavar="N", min=1, help="Most events in a micro-batch.")] = None,
    batch_seconds: Annotated[
        float | None, typer.Option("--batch-seconds", metavar="S", min=0.001, help="Longest wait for a micro-batch to fill.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Where another stream holds the lake, wait until it ends or dies, and take over.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", metavar="N", min=0, max=65535, help="Serve metrics for Prometheus; 0: a free port.")
    ] = None,
    metrics_host: Annotated[str, typer.Option("--metrics-host", metavar="ADDRESS", help="The address to serve them at.")] = "127.0.0.1",
    log: Annotated[str | None, typer.Option("--log", metavar="FILE", help="Write a log in JSON lines; - for stderr.")] = None,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="The least that is logged.")] = LogLevel.info,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take events in and write every table, exactly once.

    Ctrl-C or SIGTERM finishes the micro-batch and leaves with exit code 0; a second one stops at once, and the next
    start finishes what was begun. Only one stream at a time may write to a lake: another is refused, or waits (--wait).
    """
    logged = log == "-"  # then stderr holds lines of JSON and nothing else
    with Face("stream", as_json) as face, GracefulStop(say=not logged) as stop:
        face.show(
            opened(lake, engine).stream(
                source,
                mapping=mapping,
                start=start,
                source_config=source_config,
                once=once,
                batch_rows=batch_rows,
                batch_seconds=batch_seconds,
                wait=wait,
                metrics_port=metrics_port,
                metrics_host=metrics_host,
                on_metrics=None if logged else lambda url: typer.echo(f"Metrics at {url}", err=True),
                on_release=None if logged else lambda told: typer.echo(told[0].upper() + told[1:], err=True),
                log=log,
                log_level=log_level.value,
                on_progress=None if logged else face.progress,
                stop=stop.event,
            )
        )
