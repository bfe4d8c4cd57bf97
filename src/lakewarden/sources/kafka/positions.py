"""Where to go on in each partition, and what was lost on the way: decided from what bronze has and what the broker still has. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lakewarden.sources.port import Gap

_GENERATION: Final = re.compile(r"~(\d+)$")


@dataclass(frozen=True)
class Watermarks:
    """What a broker has of a partition: its first offset, and the one that the next event will get."""

    low: int
    end: int


@dataclass(frozen=True)
class Identity:
    """Which topic it is: cluster, name, and the id that the broker gives each topic it makes (empty where it gives none)."""

    cluster: str
    topic: str
    topic_id: str

    @property
    def place(self) -> str:
        """What topics of that name have in common, however often they were made anew."""
        return f"kafka://{self.cluster}/{self.topic}"

    @property
    def name(self) -> str:
        """The source's name in its first generation."""
        return f"{self.place}/{self.topic_id}" if self.topic_id else self.place

    def knows(self, name: str) -> bool:
        """Whether a source's name is of this place: this topic, or one of the same name before it."""
        plain = _GENERATION.sub("", name)
        return plain == self.place or plain.startswith(f"{self.place}/")


@dataclass(frozen=True)
class Resumption:
    """The outcome.

    Attributes:
        name: the source's name from now on.
        next: the next offset to read, by partition.
        begun: positions (last offset taken) to record before anything is read, for partitions that had none under this name.
        gaps: what was lost.
    """

    name: str
    next: Mapping[int, int]
    begun: Mapping[str, int] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


def resume(
    identity: Identity,
    recorded: Mapping[str, Mapping[str, int]],
    watermarks: Mapping[int, Watermarks],
    first_start: Mapping[int, int],
) -> Resumption:
    """Decide where to go on.

    Args:
        identity: the topic as the broker describes it now.
        recorded: the last offset taken, by source name and partition.
        watermarks: what the broker has, by partition.
        first_start: the offset to begin at, by partition, if nothing was ever taken of this topic.
    """
    family = _generations(identity, recorded)
    if not family:
        earlier = {name: found for name, found in recorded.items() if identity.knows(name)}
        if earlier:
            return _recreated(identity.name, earlier, watermarks)
        begun = {str(p): first_start[p] - 1 for p in watermarks}
        return Resumption(identity.name, {p: first_start[p] for p in watermarks}, begun)
    name = family[max(family)]
    known = recorded[name]
    rewound = [p for p, marks in watermarks.items() if known.get(str(p), -1) + 1 > marks.end]
    if rewound:
        return _rewound(identity, max(family), known, watermarks, rewound)
    return _continued(name, known, watermarks)


def _generations(identity: Identity, recorded: Mapping[str, object]) -> dict[int, str]:
    """The names under which this very topic was read, by generation."""
    found: dict[int, str] = {}
    for name in recorded:
        if _GENERATION.sub("", name) == identity.name:
            suffix = _GENERATION.search(name)
            found[int(suffix[1]) if suffix else 1] = name
    return found


def _continued(name: str, known: Mapping[str, int], watermarks: Mapping[int, Watermarks]) -> Resumption:
    begin: dict[int, int] = {}
    begun: dict[str, int] = {}
    gaps: list[Gap] = []
    for partition, marks in sorted(watermarks.items()):
        wanted = known.get(str(partition), -1) + 1
        begin[partition] = max(wanted, marks.low)
        if str(partition) not in known:
            begun[str(partition)] = -1
        if wanted < marks.low:
            gaps.append(retention_gap(name, partition, wanted, marks.low))
    return Resumption(name, begin, begun, tuple(gaps))


def retention_gap(name: str, partition: int, wanted: int, low: int) -> Gap:
    """Events that the broker deleted before they were read."""
    detail = (
        f"The broker deleted {low - wanted:,} events of partition {partition} before they were read: offsets {wanted:,} to {low - 1:,}."
    )
    return Gap(name, str(partition), wanted, low - 1, "retention", detail)


def _recreated(name: str, earlier: Mapping[str, Mapping[str, int]], watermarks: Mapping[int, Watermarks]) -> Resumption:
    """Another topic of that name stands there: what the old one still had is gone; the new one is read from its first offset."""
    gaps = [
        Gap(
            old,
            partition,
            offset + 1,
            None,
            "recreated",
            f"The topic was made anew: what partition {partition} of the old one had behind offset {offset:,} can't be read any more.",
        )
        for old, positions in sorted(earlier.items())
        for partition, offset in sorted(positions.items())
    ]
    gaps += [retention_gap(name, p, 0, marks.low) for p, marks in sorted(watermarks.items()) if marks.low > 0]
    begin = {p: marks.low for p, marks in watermarks.items()}
    return Resumption(name, begin, {str(p): -1 for p in begin}, tuple(gaps))


def _rewound(
    identity: Identity, generation: int, known: Mapping[str, int], watermarks: Mapping[int, Watermarks], rewound: list[int]
) -> Resumption:
    """The log ends before what was read: offsets are given out a second time, so they go under a generation of their own.

    Without ids of topics this may be a topic made anew: then every partition is read from its first offset. What is read twice is
    counted as duplicates; nothing is lost.
    """
    again = set(rewound) if identity.topic_id else set(watermarks)
    name = f"{identity.name}~{generation + 1}"
    old = f"{identity.name}~{generation}" if generation > 1 else identity.name
    begin: dict[int, int] = {}
    gaps: list[Gap] = []
    for partition, marks in sorted(watermarks.items()):
        wanted = known.get(str(partition), -1) + 1
        begin[partition] = marks.low if partition in again else max(wanted, marks.low)
        if partition not in again and wanted < marks.low:
            gaps.append(retention_gap(name, partition, wanted, marks.low))
    for partition in rewound:
        end = watermarks[partition].end
        gaps.append(
            Gap(
                old,
                str(partition),
                end,
                None,
                "rewound",
                f"Partition {partition} ends at offset {end:,}, before {known[str(partition)]:,}, which was read: the broker lost its end, "
                "or the topic was made anew. All that it has is read again; what was read before is counted as duplicates.",
            )
        )
    return Resumption(name, begin, {str(p): offset - 1 for p, offset in begin.items()}, tuple(gaps))
