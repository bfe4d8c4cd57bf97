"""Exchange: in one commit some rows of a table go and files that stand ready come. What goes is pinned first (promise 5).

File entries move, not rows, so the time doesn't grow with them. A file that holds both rows that go and rows that stay is split before, in
a commit of its own that changes the layout alone. Every commit lands right behind the file list that it was planned on, or not at all: a
compaction or an append that comes between is followed, and the list is made anew.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.errors import StorageError
from lakewarden.lake.log import BehindError
from lakewarden.lake.table import ORDERS

if TYPE_CHECKING:
    from lakewarden.lake.log import DataFile
    from lakewarden.lake.store import Store
    from lakewarden.lake.table import LakeTable


@dataclass(frozen=True)
class Rows:
    """Which rows of a table go: those for which everything given holds; nothing given: none.

    Attributes:
        dates: first and last date of the table's partitions (`event_date`; of snapshots, `snapshot_date`), ISO 8601.
        seq: first and last place in the order of arrival.
        run: the run that wrote them.
        among: the places in the order of arrival that they are among.
    """

    dates: tuple[str, str] | None = None
    seq: tuple[int, int] | None = None
    run: str | None = None
    among: tuple[int, ...] | None = None

    @property
    def none(self) -> bool:
        """Whether no row is meant."""
        return self.dates is None and self.seq is None and self.run is None and self.among is None

    def where(self, *, dates: bool = True) -> pl.Expr:
        """The condition, over a table's columns.

        Args:
            dates: with that on the date, which a data file doesn't hold.
        """
        held = pl.lit(not self.none)
        if dates and self.dates is not None:
            held &= pl.col("event_date").cast(pl.String).is_between(pl.lit(self.dates[0]), pl.lit(self.dates[1]))
        if self.seq is not None:
            held &= pl.col("seq").is_between(*self.seq)
        if self.among is not None:
            held &= pl.col("seq").is_in(pl.Series(self.among, dtype=pl.Int64).implode())
        return held if self.run is None else held & (pl.col("run_id") == self.run)


@dataclass(frozen=True)
class Sorted:
    """Files of which all rows go, and files of which some go."""

    whole: list[DataFile]
    part: list[DataFile]


def sorted_out(store: Store, table: LakeTable, rows: Rows) -> Sorted:
    """Look through a table's files, as far as their statistics say; where they don't, into them."""
    found = Sorted([], [])
    for file in table.files() if not rows.none else ():
        share = _share(store, table, file, rows)
        if share is not None:
            (found.whole if share else found.part).append(file)
    return found


def _share(store: Store, table: LakeTable, file: DataFile, rows: Rows) -> bool | None:
    """True: all rows of a file are meant; False: some; None: not one."""
    day = None if table.spec.dated_by is None else file.partition.get(table.spec.dated_by)
    if rows.dates is not None and (day is None or not rows.dates[0] <= day <= rows.dates[1]):
        return None
    if rows.seq is not None:
        low, high = _bounds(file)
        if low is not None and high is not None:
            if high < rows.seq[0] or low > rows.seq[1]:
                return None
            if rows.run is None and rows.among is None and rows.seq[0] <= low and high <= rows.seq[1]:
                return True
    if rows.seq is None and rows.run is None and rows.among is None:
        return True
    meant = _read(store, table, file).select(rows.where(dates=False)).to_series()
    return None if not meant.any() else bool(meant.all())


def _bounds(file: DataFile) -> tuple[int | None, int | None]:
    told = json.loads(file.stats) if file.stats else {}
    return told.get("minValues", {}).get("seq"), told.get("maxValues", {}).get("seq")


def split(store: Store, table: LakeTable, rows: Rows) -> int:
    """Part the files that hold both rows that go and rows that stay, changing no row; gives how many were parted.

    Raises:
        FencedError: a later epoch claimed the table; nothing was changed.
    """
    parted = 0
    while True:
        table.refresh()
        part = sorted_out(store, table, rows).part
        if not part:
            return parted
        made = [made for file in part for made in _parts(store, table, file, rows)]
        try:
            table.log.commit("OPTIMIZE", add=made, remove=part, data_change=False)
            parted += len(part)
        except BehindError:
            table.log.check()


def _parts(store: Store, table: LakeTable, file: DataFile, rows: Rows) -> list[DataFile]:
    held = _read(store, table, file)
    meant = held.select(rows.where(dates=False)).to_series()
    return [table.write_file(file.partition, held.filter(some), 0) for some in (~meant, meant)]


def _read(store: Store, table: LakeTable, file: DataFile) -> pl.DataFrame:
    data = store.get(f"{table.spec.name}/{file.path}")
    if data is None:
        raise StorageError(
            f"A file of {table.spec.name} is gone: {file.path}.", state="nothing was changed", next="restore it from a copy of the lake"
        )
    columns = [name for name in table.spec.columns if name not in table.spec.partition_by]
    return pl.read_parquet(io.BytesIO(data), columns=columns)


def exchange(
    store: Store, table: LakeTable, rows: Rows, incoming: Sequence[DataFile], order: int, before: Callable[[int, list[DataFile]], None]
) -> int:
    """Take rows out and files in, in one commit under the order's number, once; gives the table's version.

    Args:
        incoming: files that stand in the table's folder; they belong to no version yet.
        before: told the version and the files that are about to go, each time a commit is tried.

    Raises:
        FencedError: a later epoch claimed the table; nothing was changed.
    """
    while True:
        version = table.refresh()
        if table.last_order() >= order:
            return version
        split(store, table, rows)
        version, going = table.version, sorted_out(store, table, rows).whole
        before(version, going)
        try:
            return table.log.commit("WRITE", add=incoming, remove=going, number=(ORDERS, order))
        except BehindError:
            table.log.check()
