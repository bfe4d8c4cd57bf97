"""What has to hold of a lake whatever struck its streams: bronze is the topic, event for event, and all the rest follows from bronze."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

import lakewarden
from lakewarden.audit.verification import comparable, compare
from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER, TableSpec
from servers.kafka import KafkaBroker

PER_EVENT: Final = (SILVER, GOLD, ALERTS, DLQ, DUPLICATES)
PLACE: Final = ["source_partition", "source_offset"]


@dataclass(frozen=True)
class Findings:
    """What an examination found.

    Attributes:
        events: that the topic has.
        lost: offsets of the topic that bronze lacks.
        doubled: offsets that bronze has more than once, under whatever name of the source.
        changed: offsets under which bronze has another body than the broker.
        unknown: offsets in bronze that the topic doesn't have.
        twice: rows that a derived table has more than once, and micro-batches whose checks or run record are missing.
        incidents: gaps that were reported; there was none.
        unbalanced: dates whose conservation statement doesn't hold.
        differences: rows that come out otherwise when a date is derived again.
    """

    events: int
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    unknown: int = 0
    twice: int = 0
    incidents: int = 0
    unbalanced: int = 0
    differences: int = 0

    @property
    def wrong(self) -> dict[str, int]:
        """What isn't as it should be, by name; empty where promises 1 to 3 hold."""
        return {name: count for name, count in vars(self).items() if name != "events" and count}


def dates_of(lake: lakewarden.Lake) -> list[date]:
    """The dates that have events."""
    return sorted(lake.table(BRONZE.name).select(pl.col("event_date").unique()).collect()["event_date"].to_list())


def examine(lake: lakewarden.Lake, broker: KafkaBroker, topic: str, *, dice: random.Random, verify: int | None = None) -> Findings:
    """Compare bronze with the broker, offset by offset, and prove the dates.

    Args:
        dice: choose the dates that are verified.
        verify: how many of them are; None: all.
    """
    held = pl.DataFrame(
        [(str(message.partition()), message.offset(), message.value()) for message in broker.messages(topic)],
        schema={"source_partition": pl.String, "source_offset": pl.Int64, "body": pl.Binary},
        orient="row",
    )
    bronze = lake.table(BRONZE.name).select(*PLACE, pl.col("body").alias("taken")).collect()
    both = held.join(bronze.unique(PLACE), on=PLACE, how="full", coalesce=True)
    dates = dates_of(lake)
    chosen = dates if verify is None else dice.sample(dates, min(verify, len(dates)))
    return Findings(
        events=held.height,
        lost=both["taken"].null_count(),
        doubled=bronze.height - bronze.select(PLACE).n_unique(),
        changed=both.filter(pl.col("taken") != pl.col("body")).height,
        unknown=both["body"].null_count(),
        twice=_twice(lake),
        incidents=int(lake.incidents().data["rows"]),
        unbalanced=sum(not lake.conserve(day).ok for day in dates),
        differences=sum(lake.verify(day).differences for day in chosen),
    )


def _twice(lake: lakewarden.Lake) -> int:
    """Neither statement nor verification looks at every table in this way: alerts, checks and run records are counted here."""
    found = 0
    for spec, key in (*((spec, ["seq"]) for spec in PER_EVENT), (DQ_RESULTS, ["batch", "rule"])):
        rows = lake.table(spec.name).select(key).collect()
        found += rows.height - rows.n_unique()
    records = Counter(lake.table(PIPELINE_RUNS.name).select("batch").collect()["batch"].to_list())
    checked = set(lake.table(DQ_RESULTS.name).select("batch").collect()["batch"].to_list())
    newest = lake.house.published().batch
    return found + sum(abs(records[number] - 1) + (number not in checked) for number in range(newest + 1))


def unlike(ours: lakewarden.Lake, undisturbed: lakewarden.Lake) -> int:
    """Rows in which derived tables differ from those of a stream that nothing struck; of one partition, where arrivals have one order."""
    found = 0
    for spec in PER_EVENT:
        same = [name for name in comparable(spec) if name != "release_id"]
        plain = TableSpec(spec.name, {name: spec.columns[name] for name in same}, spec.partition_by)
        left, right = (lake.table(spec.name).select(same).collect() for lake in (undisturbed, ours))
        found += compare(plain, left, right).differences
    return found + (0 if _checks(ours).equals(_checks(undisturbed)) else 1)


def _checks(lake: lakewarden.Lake) -> pl.DataFrame:
    """How many rows each DQ rule saw and refused, however they were cut into micro-batches."""
    return lake.table(DQ_RESULTS.name).group_by("rule").agg(pl.col("rows", "failed").sum()).sort("rule").collect()
