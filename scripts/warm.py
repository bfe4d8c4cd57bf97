"""Have every loop over rows compiled, once: each of the many processes that tests start in a fresh checkout would else compile them anew.

python scripts/warm.py    # half a minute the first time, seconds after that
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import lakewarden


def main() -> None:
    """A small bank from its first event to a verified date, in a folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="lakewarden-warm-") as folder:
        bank = Path(folder)
        lakewarden.simulate(bank / "sim", seed=1, days=2, customers=200, events_per_day=1_500, faults="all")
        lake = lakewarden.init(bank / "lake")
        lake.reference_import(bank / "sim" / "reference")
        lake.train(bank / "sim" / "labels" / "labels.csv", source=bank / "sim")
        lake.stream(bank / "sim", once=True, batch_rows=1_000)
        lake.verify("2026-01-05")


if __name__ == "__main__":
    main()
