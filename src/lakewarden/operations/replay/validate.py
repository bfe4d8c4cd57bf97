"""Validate a replay: old against new, each difference in a class, gates that pass or stop (runbook section 4.2 step 5)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.operations.replay import comparison, page
from lakewarden.operations.replay import journal as papers
from lakewarden.operations.replay.difference import CLASSES, SCHEMA, UNEXPLAINED, Places, Totals, changed_columns, differences
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.operations.status import Report
from lakewarden.progress import Progress
from lakewarden.tables import BRONZE, GOLD

if TYPE_CHECKING:
    from lakewarden.engines.port import Reader
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.operations.replay.journal import Journal
    from lakewarden.operations.replay.plan import Plan
    from lakewarden.progress import OnProgress

STATEMENTS: Final = "conservation_statements"
"""Where `report.json` has the conservation statements whole; the command shows their verdicts."""


def validate(
    reader: Reader,
    journal: Journal,
    *,
    load: Callable[[str], Release],
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    on_progress: OnProgress | None = None,
) -> Report:
    """Compare a run replay with what is published; the report says not ok where a gate stops.

    Leaves `report.json`, `report.html` and `differences.parquet` (every differing row) in the replay's folder.

    Raises:
        LakeError: the replay isn't run to its end, or its plan was changed.
    """
    started = monotonic()
    plan = journal.plan()
    journal.require(papers.RUN, papers.VALIDATED, papers.STOPPED, papers.UNDONE)
    among, sandbox = journal.events(), Sandbox(journal.store)
    snapshot = comparison.replayed_part(reader.snapshot(), among)
    days = _days(snapshot, plan)
    totals = Totals()
    unlike = _differences(snapshot, sandbox, plan, days, totals, on_progress)
    release = load(plan.release or str(plan.predictions["releases"][-1]))
    data = _compared(snapshot, sandbox, plan, release, days, unlike, among)
    gates = _gates(plan, data)
    stopped = [gate["gate"] for gate in gates if not gate["ok"]]
    state = papers.STOPPED if stopped else papers.VALIDATED
    told = {"ok": not stopped, "id": plan.id, "state": state, "verdict": _verdict(data, stopped), "gates": gates, **data}
    told |= {"service_level": comparison.service_level(snapshot, plan, journal.state().get("seconds"))}
    told |= {"order": snapshot.point.order, **totals.to_dict()}
    buffer = io.BytesIO()
    unlike.write_parquet(buffer, compression="zstd")
    kept = {"differences_at": journal.keep(papers.DIFFERENCES, buffer.getvalue()), "page": journal.store.uri(papers.PAGE)}
    report = {**told, **kept, "seconds": round(monotonic() - started, 3), "validated": now().isoformat()}
    journal.keep(papers.REPORT, json.dumps(report, indent=2, default=str).encode())
    journal.keep(papers.PAGE, page.page(plan, report).encode())
    journal.move(state, now(), differences=unlike.height, stopped_by=stopped)
    return Report({name: value for name, value in report.items() if name != STATEMENTS}, ok=not stopped)


def _days(snapshot: Snapshot, plan: Plan) -> list[date]:
    dates = snapshot.scan(BRONZE.name).filter(pl.col("event_date").is_between(*plan.dates)).select(pl.col("event_date").unique().sort())
    return dates.collect()["event_date"].to_list()


def _differences(
    snapshot: Snapshot, sandbox: Sandbox, plan: Plan, days: list[date], totals: Totals, on_progress: OnProgress | None
) -> pl.DataFrame:
    places = Places.of(snapshot, sandbox, plan)
    found = [pl.DataFrame(schema=SCHEMA)]
    for number, day in enumerate(days, 1):
        found.append(differences(snapshot, sandbox, plan, day, places, totals))
        if on_progress is not None:
            on_progress(Progress(number, len(days), "comparing dates"))
    return pl.concat(found)


def _compared(
    snapshot: Snapshot,
    sandbox: Sandbox,
    plan: Plan,
    release: Release,
    days: list[date],
    unlike: pl.DataFrame,
    among: pl.Series | None,
) -> dict[str, Any]:
    rules = comparison.rules(snapshot, sandbox, plan)
    examples = [
        {**row, "columns": changed_columns(snapshot, sandbox, row) if row["kind"] not in ("added", "removed") else {}}
        for row in _first(unlike, plan.settings.examples).to_dicts()
    ]
    statements = comparison.statements(snapshot, sandbox, plan, release, days, among)
    matrix = comparison.bands(snapshot, sandbox, plan)
    scored = sum(cell["transactions"] for cell in matrix)
    moved = sum(cell["transactions"] for cell in matrix if cell["old"] != cell["new"])
    return {
        "point": snapshot.point.point,
        "differences": unlike.height,
        "transactions_differing": unlike["seq"].n_unique(),
        "classes": _counts(unlike, "class"),
        "kinds": _kinds(unlike),
        "rows": comparison.totals(snapshot, sandbox, plan),
        "bands": matrix,
        "band_move_share": moved / scored if scored else 0.0,
        "alerts": comparison.alerts(snapshot, sandbox, plan),
        "dq_critical_pass_rate": {side: comparison.critical_pass_rate(rules, side) for side in ("old", "new")},
        "dq_rules": rules,
        "conservation": [{name: stated[name] for name in ("date", "ok", "rows", "differences")} for stated in statements],
        STATEMENTS: statements,
        "examples": examples,
    }


def _first(unlike: pl.DataFrame, most: int) -> pl.DataFrame:
    """The first differing rows, of scores before others, those that nothing explains before all."""
    order = pl.col("class") != UNEXPLAINED, pl.col("table") != GOLD.name, pl.col("kind") == "changed"
    return unlike.sort(*order, "seq", maintain_order=True).head(most)


def _counts(unlike: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    found = dict(unlike.group_by(column).agg(pl.len()).iter_rows())
    return [{"class": name, "rows": found.get(name, 0), "meaning": meaning} for name, meaning in CLASSES.items()]


def _kinds(unlike: pl.DataFrame) -> list[dict[str, Any]]:
    return unlike.group_by("table", "kind", "class").agg(pl.len().alias("rows")).sort("table", "kind", "class").to_dicts()


def _gates(plan: Plan, data: dict[str, Any]) -> list[dict[str, Any]]:
    rate, settings = data["dq_critical_pass_rate"]["new"], plan.settings
    broken = [f"{stated['date']}: {check['name']}" for stated in data[STATEMENTS] for check in stated["checks"] if not check["ok"]]
    unexplained = next(row["rows"] for row in data["classes"] if row["class"] == UNEXPLAINED)
    share = data["band_move_share"]
    return [
        _gate(
            "bands",
            share <= settings.max_band_move_share,
            f"{share:.2%} moved to another band",
            f"at most {settings.max_band_move_share:.2%}",
        ),
        _gate(
            "data quality",
            rate is None or rate >= settings.dq_pass_rate,
            "no critical rule was evaluated" if rate is None else f"critical rules passed {rate:.2%}",
            f"at least {settings.dq_pass_rate:.2%}",
        ),
        _gate("conservation", not broken, "; ".join(broken) or "every equation holds", "every equation holds on every date"),
        _gate("explained", not unexplained, f"{unexplained:,} differing rows are unexplained", "none"),
    ]


def _gate(name: str, ok: bool, found: str, allowed: str) -> dict[str, Any]:
    return {"gate": name, "verdict": "pass" if ok else "stop", "ok": ok, "found": found, "allowed": allowed}


def _verdict(data: dict[str, Any], stopped: list[str]) -> str:
    differ = (
        f"{data['differences']:,} rows differ, of {data['transactions_differing']:,} events" if data["differences"] else "no row differs"
    )
    return f"Stopped by: {', '.join(stopped)}; {differ}." if stopped else f"All gates pass; {differ}."
