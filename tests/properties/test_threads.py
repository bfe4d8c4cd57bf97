"""The first promise, for threads: however many Polars has, the same rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl

import lakewarden
from lakewarden.tables import PIPELINE_RUNS
from makers.rows import assert_same_lake

PROGRAM = """
import sys, lakewarden, polars as pl
assert pl.thread_pool_size() == int(sys.argv[1])
assert lakewarden.open(sys.argv[2]).stream(sys.argv[3], once=True, batch_rows=900).ok
"""


def test_any_number_of_threads_gives_the_same_rows(tmp_path: Path):
    simulation = tmp_path / "sim"
    lakewarden.simulate(simulation, seed=29, days=2, customers=150, events_per_day=1_500, faults="all")
    new = lakewarden.init(tmp_path / "new")
    new.reference_import(simulation / "reference")
    new.train(simulation / "labels" / "labels.csv", source=simulation)
    lakes = []
    for threads in (1, 4):
        path = tmp_path / f"lake{len(lakes)}"
        shutil.copytree(tmp_path / "new", path)
        command = [sys.executable, "-c", PROGRAM, str(threads), str(path), str(simulation)]
        subprocess.run(command, check=True, env={**os.environ, "POLARS_MAX_THREADS": str(threads)})
        lakes.append(lakewarden.open(path))
    assert lakes[0].table(PIPELINE_RUNS.name).select(pl.len()).collect().item() == 4
    assert_same_lake(*lakes)
    for day in ("2026-01-05", "2026-01-06"):
        assert lakes[1].verify(day).differences == 0
