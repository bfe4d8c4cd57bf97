"""Third stage: quality rules over every row; reasons for what is rejected, marks for what passes with a warning, counts for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.errors import ConfigurationError
from lakewarden.flow import verdicts
from lakewarden.flow.decode import decode, file_under
from lakewarden.rules.evaluation import evaluated
from lakewarden.rules.quality import BoundRule, bind, check_columns
from lakewarden.tables import DQ_RESULTS, LINEAGE, UTC_US

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakewarden.contracts.compiler import CompiledContract
    from lakewarden.flow.release import Release
    from lakewarden.settings import FlowSettings

EXAMPLES: Final = 5
"""Failing rows that a result names."""

RESULTS: Final = pl.Schema(
    {name: dtype for name, dtype in DQ_RESULTS.columns.items() if name not in {"event_date", "checked_time", *LINEAGE}}
)
"""Columns of the results, one row a rule."""

Rows: TypeAlias = NDArray[np.int64]

_FAILS: Final = 1
_NOT_EVALUATED: Final = 2
_STATUS: Final = pl.Series("dq_status", ["FAILED", "PASSED", "UNKNOWN"])


@dataclass(frozen=True)
class QualityOutcome:
    """The rows, each with its marks, and what each rule found."""

    rows: pl.DataFrame
    results: pl.DataFrame


def quality(rows: pl.DataFrame, release: Release) -> QualityOutcome:
    """Evaluate every quality rule on every row; no row is dropped.

    A rule isn't evaluated on a row that isn't decoded, nor where a property that it reads is mistyped or breaks the contract.
    Rows gain `dq_warnings` (names of the warnings and relaxed rules that they fail) and `dq_status`: FAILED when they fail any rule
    or carry a reason already, UNKNOWN when no rule could be evaluated on them, else PASSED. Failures of critical rules become
    reasons, `dq:<rule>`.
    """
    bound = bind(release.dq_rules, release.references, release.settings)
    ready = {each.rule.name: each for each in bound if each.fails is not None}
    verdict = _evaluate(rows, list(ready.values()))
    failing = {name: np.flatnonzero(verdict[name] == _FAILS) for name in ready}
    found = [
        verdicts.found(failing[name], f"dq:{name}", each.text, rows[each.shows].gather(failing[name]) if each.shows else None)
        for name, each in ready.items()
        if each.rule.rejects and len(failing[name])
    ]
    marks = {name: failing[name] for name, each in ready.items() if not each.rule.rejects and len(failing[name])}
    marked = _marked(verdicts.append(rows, found), marks, verdict)
    return QualityOutcome(marked, _results(bound, rows, verdict, failing))


def check_rules(release: Release) -> None:
    """Refuse, before any row comes, rules that can't be evaluated on the events of the release's contract.

    Raises:
        ConfigurationError: names the rule and what it reads in vain.
    """
    bound = bind(release.dq_rules, release.references, release.settings)
    check_columns(bound, row_schema(release.contract, release.settings))


def row_schema(contract: CompiledContract, settings: FlowSettings) -> Mapping[str, pl.DataType]:
    """The columns that quality rules may read under a contract."""
    decoded = decode(pl.Series("body", [], dtype=pl.Binary), contract, settings)
    at = pl.DataFrame(schema={"seq": pl.Int64(), "arrival_time": UTC_US})
    return file_under(pl.concat([at, decoded], how="horizontal"), settings).schema


def _evaluate(rows: pl.DataFrame, ready: Sequence[BoundRule]) -> dict[str, NDArray[np.uint8]]:
    """Each rule's verdict on each row: passes, fails or not evaluated."""
    found = _select(rows, ready)
    verdict = {name: found[name].to_numpy() for name in found.columns}
    if not verdicts.counts_of(rows).any():
        return verdict
    undecoded, broken = np.flatnonzero(~rows["decoded"].to_numpy()), _broken(rows)
    for each in ready:
        excluded = [undecoded, *(some for field, some in broken.items() if field in each.reads)]
        if any(map(len, excluded)):
            changed = verdict[each.rule.name].copy()
            changed[np.concatenate(excluded)] = _NOT_EVALUATED
            verdict[each.rule.name] = changed
    return verdict


def _select(rows: pl.DataFrame, ready: Sequence[BoundRule]) -> pl.DataFrame:
    """The verdicts as columns. A rule whose expression breaks on a value is named: it, not the row, is wrong."""
    verdicts_of = [each.fails.cast(pl.UInt8).fill_null(_NOT_EVALUATED).alias(each.rule.name) for each in ready if each.fails is not None]
    try:
        return evaluated(rows, verdicts_of)
    except pl.exceptions.PolarsError:
        for each, verdict in zip(ready, verdicts_of, strict=True):
            try:
                evaluated(rows, [verdict])
            except pl.exceptions.PolarsError as error:
                raise ConfigurationError(
                    f"quality rule {each.rule.name} can't be evaluated: {' '.join(str(error).split())[:300]}",
                    state="no row of the micro-batch was judged",
                    next="correct conf/dq_rules.yaml",
                ) from error
        raise


def _broken(rows: pl.DataFrame) -> dict[str, Rows]:
    """For each property the numbers of the rows in which it is mistyped or breaks the contract."""
    broken: dict[str, Rows] = {}
    for (code,), some in verdicts.held(rows).group_by("code", maintain_order=True):
        kind, _, rest = str(code).partition(":")
        if kind in ("mistyped", "contract"):
            field = rest.rpartition(":")[0] if kind == "contract" else rest
            broken[field] = np.concatenate([broken.get(field, np.zeros(0, dtype=np.int64)), some["row"].to_numpy()])
    return broken


def _marked(rows: pl.DataFrame, marks: Mapping[str, Rows], verdict: Mapping[str, NDArray[np.uint8]]) -> pl.DataFrame:
    """`rows` with `dq_warnings` and `dq_status`."""
    at = np.concatenate([np.zeros(0, dtype=np.int64), *marks.values()])
    order = np.argsort(at, kind="stable")
    which = np.repeat(np.arange(len(marks)), [len(numbers) for numbers in marks.values()])[order]
    names = pl.Series(list(marks), dtype=pl.String).gather(which)
    status = np.ones(rows.height, dtype=np.int8)
    if all((each == _NOT_EVALUATED).any() for each in verdict.values()):
        evaluated = np.zeros(rows.height, dtype=np.bool_)
        for each in verdict.values():
            evaluated |= each != _NOT_EVALUATED
        status[~evaluated] = 2
    status[at] = 0
    status[verdicts.counts_of(rows) > 0] = 0
    return rows.with_columns(verdicts.lists("dq_warnings", rows.height, at[order], names), _STATUS.gather(status))


def _results(
    bound: Sequence[BoundRule], rows: pl.DataFrame, verdict: Mapping[str, NDArray[np.uint8]], failing: Mapping[str, Rows]
) -> pl.DataFrame:
    """One row of :data:`RESULTS` a rule."""
    out = []
    for each in bound:
        rule, at = each.rule, failing.get(each.rule.name, np.zeros(0, dtype=np.int64))
        count = int(np.count_nonzero(verdict[rule.name] != _NOT_EVALUATED)) if each.fails is not None else 0
        if each.fails is None:
            status = "skipped"
        elif rule.relaxed:
            status = "relaxed"
        else:
            status = "failed" if len(at) else "passed"
        examples = _examples(rows, at[:EXAMPLES]) if len(at) else []
        share = (count - len(at)) / count if count else None
        out.append((rule.name, rule.dimension, rule.criticality, rule.hard, rule.owner, status, count, len(at), share, examples))
    return pl.DataFrame(out, schema=RESULTS, orient="row")


def _examples(rows: pl.DataFrame, at: Rows) -> list[str]:
    """The rows' transaction ids, or `seq:<n>` where one has none."""
    ids, seqs = rows["transaction_id"].gather(at).to_list(), rows["seq"].gather(at).to_list()
    return [name if name is not None else f"seq:{seq}" for name, seq in zip(ids, seqs, strict=True)]
