"""Receiving: cut micro-batches from a source, and have the engine give their events places in the order of arrival and commit bronze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakewarden.engines.port import Taking

if TYPE_CHECKING:
    from lakewarden.engines.port import MicroBatch
    from lakewarden.flow.release import Release
    from lakewarden.operations.job import StreamJob


class Receiver:
    """Turns chunks of a source into micro-batches whose bronze rows are committed.

    A change of the release in force is picked up here, at a micro-batch boundary, and recorded in the micro-batch's rows.
    """

    def __init__(self, job: StreamJob) -> None:
        self._job = job
        self._engine = engine = job.engine
        self._source = source = job.source
        self._clocks = job.clocks
        self._release: Release | None = None
        self._number = engine.heads()[0] + 1
        self._arrived = engine.arrived()
        source.resume(merged(job.bookmarks.read(), engine.positions()))
        self._take_notices()

    def next_batch(self) -> MicroBatch | None:
        """The next micro-batch, already in bronze; None when the source has nothing now."""
        chunk = self._source.read(self._job.settings.batch_rows, self._job.settings.batch_seconds)
        self._take_notices()  # before the events behind a gap are in bronze: then it couldn't be found again
        if chunk is None or len(chunk) == 0:
            return None
        started = self._clocks.monotonic()
        taking = Taking(self._number, self._job.run_id, self._release_in_force(), self._engine.labels_version(), started)
        batch, self._arrived = self._engine.receive(chunk, self._arrived, taking)
        self._number += 1
        return batch

    def _take_notices(self) -> None:
        notices = self._source.take_notices()
        for name, begun in notices.begun.items():
            self._job.bookmarks.add(name, begun)
        for gap in notices.gaps:
            self._job.on_gap(gap)
        for remark in notices.remarks:
            self._job.on_remark(remark)

    def _release_in_force(self) -> Release:
        wanted = self._job.releases.current()
        if self._release is None or self._release.id != wanted:
            self._release = self._job.releases.load(wanted)
        return self._release


def merged(begun: Mapping[str, Mapping[str, int]], recorded: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Where each source's partitions were left: what bronze recorded, or else where reading of them was begun."""
    return {name: {**begun.get(name, {}), **recorded.get(name, {})} for name in {*begun, *recorded}}
