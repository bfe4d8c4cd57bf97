"""`demo`: three days end to end."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.options import JsonOption, SeedOption, TaughtCommand, commands, examples

app = commands()


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden demo",
        "lakewarden demo --lake /tmp/demo-lake --seed 11",
    ),
)
def demo(
    lake: Annotated[
        str,
        typer.Option("--lake", metavar="PATH", envvar="LAKEWARDEN_LAKE", help="Where the demo's lake goes; it stays for you to explore."),
    ] = "demo-lake",
    seed: SeedOption = 7,
    as_json: JsonOption = False,
) -> None:
    """Three days end to end: simulate, train, stream, prove.

    Simulates with faults, and shows risk bands, top alerts with their reasons, data quality, dead letters, latency,
    throughput, the conservation statement and a verification. A demo lake that is there already is replaced; any other
    lake is refused.
    """
    with Face("demo", as_json) as face:
        from lakewarden import demonstration  # heavy

        face.show(demonstration.run(lake, seed=seed, on_progress=face.progress))
