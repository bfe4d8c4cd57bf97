"""The part of the composition root and the Python API that compacts a lake: see `lakewarden.app`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lakewarden.app_swap import Swaps
from lakewarden.operations import status as standing
from lakewarden.operations.dates import utc_now

if TYPE_CHECKING:
    from lakewarden.progress import OnProgress


class Compactions(Swaps):
    """A lake's compaction when nobody streams."""

    def compact(
        self,
        *,
        fan: int | None = None,
        reason: str | None = None,
        incident: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> standing.Report:
        """Merge small files until there is nothing left to merge, and move readers to the merged ones. No row changes. Leaves a receipt.

        What a stream left unfinished is finished first, as the next stream would.

        Args:
            fan: files of one tier in one partition that are merged; None: as many as a stream merges.

        Raises:
            LakeBusyError: a stream holds the lake; it compacts by itself.
            ConfigurationError: there is no key to sign the receipt with.
        """
        from lakewarden.operations import compact

        began = time.monotonic()
        self.witness("lake.compact", reason, incident)  # what can't be signed, or belongs to no incident, isn't begun
        with self.caught_up():
            witness = self.witness("lake.compact", reason, incident, tuple(self.house.tables))
            before = compact.layout(self.house)
            moved = compact.compact(self.house, utc_now, fan=fan, on_progress=on_progress)
            rows = compact.compared(before, compact.layout(self.house))
            point = self.house.publish(-1, utc_now()) if moved else self.house.published()
            totals = {key: sum(row[key] for row in rows) for key in ("files_before", "files_after", "bytes_before", "bytes_after")}
            receipt = witness.record(outcome={"point": point.point, "moved": moved, "fan": fan, **totals, "by_table": rows})
        seconds = round(time.monotonic() - began, 3)
        return standing.Report(
            {"moved": moved, "point": point.point, "receipt": receipt.number, **totals, "seconds": seconds, "tables": rows}
        )
