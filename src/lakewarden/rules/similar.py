"""All pairs of two lists of texts that are nearly equal, found without comparing every text with every other.

Similarity is `1 - D / (len(a) + len(b))`, D being the least number of letters to insert and delete. It takes at most
`k = (1 - threshold) * (len(a) + len(b))` of them, so if `b` is cut into k + 1 segments, one of them stands in `a`
untouched, and the first such has as many changes before it as there are segments before it (Li, Deng, Wang, Feng:
"Pass-Join", VLDB 2011). So only texts that share a segment at one of a few places are compared: no pair is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_CHUNK: Final = 65_536
_TOLERANCE: Final = 1e-9


def similar_pairs(left: pl.Series, right: pl.Series, threshold: float) -> pl.DataFrame:
    """Every (left, right, score) with score >= `threshold`: row numbers (UInt32) and similarity (0 to 1), sorted by both numbers.

    Args:
        left: texts, the long list; null and empty ones match nothing.
        right: texts, the short list.
        threshold: least similarity, above 0.5 and at most 1.
    """
    lengths = right.str.len_chars().fill_null(0).to_numpy()
    index = {int(length): _Group(right, np.flatnonzero(lengths == length)) for length in np.unique(lengths[lengths > 0])}
    left_lengths = left.str.len_chars().fill_null(0).to_numpy()
    found = [pl.DataFrame(schema={"left": pl.UInt32, "right": pl.UInt32, "score": pl.Float64})]
    for length in np.unique(left_lengths[left_lengths > 0]):
        rows = np.flatnonzero(left_lengths == length)
        for start in range(0, rows.size, _CHUNK):
            group = _Group(left, rows[start : start + _CHUNK])
            candidates = list(_candidates(group, index, threshold))
            if candidates:
                codes = np.unique(np.concatenate(candidates))
                found.append(_score(left, right, codes, threshold))
    return pl.concat(found).sort("left", "right")


class _Group:
    """Texts of one length, with prefix hashes so that the hash of any part costs two lookups."""

    __slots__ = ("_prefix", "_sorted", "length", "rows")

    def __init__(self, texts: pl.Series, rows: NDArray[np.int64]) -> None:
        chosen = texts.gather(rows)
        points = np.frombuffer("".join(chosen.to_list()).encode("utf-32-le"), dtype=np.uint32).reshape(rows.size, -1)
        self.rows = rows
        self.length = points.shape[1]
        self._prefix = np.zeros((self.length + 1, rows.size), dtype=np.uint64)
        for at in range(self.length):
            self._prefix[at + 1] = self._prefix[at] * _BASE + (points[:, at] + np.uint32(1))
        self._sorted: dict[tuple[int, int], tuple[NDArray[np.uint64], NDArray[np.int64]]] = {}

    def part(self, start: int, length: int) -> NDArray[np.uint64]:
        """Hash of `length` letters from `start`, of every text."""
        power = np.uint64(pow(int(_BASE), length, 1 << 64))
        hashes: NDArray[np.uint64] = self._prefix[start + length] - self._prefix[start] * power
        return hashes

    def sorted_part(self, start: int, length: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The hashes of :meth:`part` in order, with the row number of each."""
        if (start, length) not in self._sorted:
            hashes = self.part(start, length)
            order = np.argsort(hashes, kind="stable")
            self._sorted[start, length] = hashes[order], self.rows[order]
        return self._sorted[start, length]


def _candidates(group: _Group, index: dict[int, _Group], threshold: float) -> Iterator[NDArray[np.uint64]]:
    """Pairs that share a segment where they must, as `left << 32 | right`; some twice."""
    for length, other in index.items():
        difference = group.length - length
        changes = int((1.0 - threshold) * (group.length + length) + _TOLERANCE)
        changes -= (changes - difference) % 2  # every insert or delete turns the parity of the difference
        if changes < abs(difference):
            continue
        if changes + 1 > length:  # too short to cut: compare with all
            yield _pairs(np.repeat(group.rows, other.rows.size), np.tile(other.rows, group.rows.size))
            continue
        bounds = [length * segment // (changes + 1) for segment in range(changes + 2)]
        for segment in range(changes + 1):
            start, size = bounds[segment], bounds[segment + 1] - bounds[segment]
            hashes, rows = other.sorted_part(start, size)
            for shift in range(-segment, segment + 1, 2):
                at = start + shift
                if abs(difference - shift) > changes - segment or at < 0 or at + size > group.length:
                    continue
                wanted = group.part(at, size)
                first = np.searchsorted(hashes, wanted, side="left")
                hit = np.flatnonzero(hashes[np.minimum(first, hashes.size - 1)] == wanted)
                if hit.size:
                    yield _expand(group.rows, rows, hit, first[hit], np.searchsorted(hashes, wanted[hit], side="right"))


def _expand(
    left: NDArray[np.int64], right: NDArray[np.int64], hit: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Every left row `hit` with every right row of its range `first` to `last`."""
    counts = last - first
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return _pairs(left[np.repeat(hit, counts)], right[np.repeat(first, counts) + offsets])


def _pairs(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.uint64]:
    return (left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)


def _score(left: pl.Series, right: pl.Series, codes: NDArray[np.uint64], threshold: float) -> pl.DataFrame:
    """Of the candidate pairs those that are as similar as asked. The distance is compared, in whole letters, not the ratio."""
    from rapidfuzz import distance, process

    pairs = pl.DataFrame({"left": (codes >> np.uint64(32)).astype(np.uint32), "right": codes.astype(np.uint32)})
    a, b = left.gather(pairs["left"]), right.gather(pairs["right"])
    letters = (a.str.len_chars() + b.str.len_chars()).to_numpy().astype(np.int64)
    changes = ((1.0 - threshold) * letters + _TOLERANCE).astype(np.int64)
    found = process.cpdist(
        a.to_list(), b.to_list(), scorer=distance.Indel.distance, score_cutoff=int(changes.max()), dtype=np.int32
    ).astype(np.int64)
    return pairs.with_columns(score=1.0 - found / letters).filter(pl.Series(found <= changes))
