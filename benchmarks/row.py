"""One measured figure of a benchmark run, beside what it is held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """A figure: value and unit, the anchor measured in the same run (or published), their ratio, and the goal."""

    name: str
    value: float
    unit: str
    anchor: str = ""
    anchor_value: float | None = None
    goal: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, object]:
        ratio = self.value / self.anchor_value if self.anchor_value else None
        return {**asdict(self), "value": round(self.value, 6), "ratio": None if ratio is None else round(ratio, 4)}
