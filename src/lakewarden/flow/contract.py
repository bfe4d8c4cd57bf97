"""Second stage: every reason for which an event breaks its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.flow import verdicts
from lakewarden.rules.evaluation import evaluated
from lakewarden.tables import UTC_US

if TYPE_CHECKING:
    from lakewarden.contracts.compiler import CompiledContract
    from lakewarden.flow.release import Release


def contract(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """`rows` with the contract's reasons appended to `codes` and `reasons`; no row is dropped.

    A row that isn't decoded isn't checked; a mistyped property isn't missing as well.
    """
    checks = release.contract.checks
    violated = evaluated(rows, [check.violates.fill_null(False).alias(str(i)) for i, check in enumerate(checks)])
    if not checks or not any(violated.select(pl.all().any()).row(0)):
        return rows
    undecoded = ~rows["decoded"].to_numpy()
    mistyped = _mistyped(rows)
    found = []
    for i, check in enumerate(checks):
        mask = violated[str(i)].to_numpy() & ~undecoded
        missing = check.code.startswith("missing:")
        if missing and check.field in mistyped:
            mask[mistyped[check.field]] = False
        at = np.flatnonzero(mask)
        if len(at):
            shown = None if missing else rows[_shown(check.field, release.contract)].gather(at)
            found.append(verdicts.found(at, check.code, check.text, shown))
    return verdicts.append(rows, found)


def _mistyped(rows: pl.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Numbers of the rows in which a property was mistyped, by property."""
    held = verdicts.held(rows).filter(pl.col("code").str.starts_with("mistyped:"))
    return {str(code).removeprefix("mistyped:"): some["row"].to_numpy() for (code,), some in held.group_by("code", maintain_order=True)}


def _shown(field: str, compiled: CompiledContract) -> str:
    """The column that holds the value as it was written."""
    return f"{field}_text" if compiled.properties[field] == UTC_US else field
