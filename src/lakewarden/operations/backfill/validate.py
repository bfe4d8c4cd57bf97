"""Validate a backfill: conservation, data quality, dead letters, ids that live data have too; gates that pass or stop (runbook 5.2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from lakewarden.audit import conservation
from lakewarden.audit.conservation import Check
from lakewarden.operations import after, papers
from lakewarden.operations.backfill import figures, page, predictions, run
from lakewarden.operations.backfill.sandbox import STAGING, BackfillSandbox
from lakewarden.operations.status import Report
from lakewarden.tables import BRONZE, PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine
    from lakewarden.flow.release import Release
    from lakewarden.operations.backfill.journal import Journal
    from lakewarden.operations.backfill.plan import Plan


def validate(
    reader: Engine, journal: Journal, *, load: Callable[[str], Release], now: Callable[[], datetime], monotonic: Callable[[], float]
) -> Report:
    """Judge what was run; the report says not ok where a gate stops. Leaves `report.json` and `report.html` in the backfill's folder.

    Raises:
        LakeError: the backfill isn't run to its end, or its plan was changed.
    """
    started = monotonic()
    plan = journal.plan()
    journal.require(papers.RUN, papers.VALIDATED, papers.STOPPED, papers.UNDONE)
    state, sandbox, snapshot = journal.state(), BackfillSandbox(journal.store), reader.snapshot()
    share = conservation.stated({name: sandbox.scan(name) for name in conservation.STATED}, load(plan.release))
    counts, amounts, equations = conservation.together([share])
    arrivals = conservation.received(sandbox.scan(PIPELINE_RUNS.name), *conservation.counted(sandbox.scan(BRONZE.name)))
    staged = Check("loaded = staged", int(state["staged"]), sandbox.count(STAGING.name))
    checks = [staged, Check("staged = bronze", staged.right, sandbox.count(BRONZE.name)), *arrivals, *equations]
    dates, rules = figures.by_date(sandbox), figures.rules(sandbox)
    data: dict[str, Any] = {
        "point": snapshot.point.point,
        "block": list(run.block(plan, staged.left)),
        "rows": staged.left,
        "loaded": state["loaded"],
        "counts": counts,
        "amounts": amounts,
        "conservation": [{"name": one.name, "left": one.left, "right": one.right, "ok": one.ok} for one in checks],
        "dates": dates,
        "dq_rules": rules,
        "dq_critical_pass_rate": figures.critical_pass_rate(rules),
        "live_ids": figures.live_ids(snapshot, sandbox, plan.settings.examples),
        "ends": figures.ends(snapshot, sandbox),
        "hash_totals": figures.hash_totals(sandbox, [row["date"] for row in dates]),
    }
    data["document"] = _document(plan, state, data)
    gates = _gates(plan, data)
    stopped = [gate["gate"] for gate in gates if not gate["ok"]]
    moved = papers.STOPPED if stopped else papers.VALIDATED
    verdict = f"Stopped by: {', '.join(stopped)}." if stopped else f"All gates pass; {staged.left:,} events of {len(dates)} dates."
    report = {"ok": not stopped, "id": plan.id, "state": moved, "verdict": verdict, "gates": gates, **data}
    report |= {"page": journal.store.uri(papers.PAGE), "seconds": round(monotonic() - started, 3), "validated": now().isoformat()}
    journal.keep(papers.REPORT, json.dumps(report, indent=2, default=str).encode())
    journal.keep(papers.PAGE, page.page(plan, report).encode())
    journal.move(moved, now(), stopped_by=stopped)
    return Report({**report, "next": journal.next()}, ok=not stopped)


def _document(plan: Plan, state: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Range, release and model, and every deviation from the standard pipeline (runbook section 5.2 step 5)."""
    ends = data["ends"]
    first, last = date.fromisoformat(ends["first_date"]), date.fromisoformat(ends["last_date"])
    seen = {name: plan.predictions[name] for name in ("first_live_rows", "first_live_dates")}
    return {
        "range": {"from": str(first), "to": str(last), "first_seq": data["block"][0], "last_seq": data["block"][1]},
        "source": plan.scope.source,
        "line_of_business": plan.scope.line_of_business,
        "note": plan.scope.note,
        "release": plan.release,
        "model": plan.model,
        "labels_version": plan.labels_version,
        "deviations": {**run.told(plan, state), "warm_up": predictions.warm_up(first, last), "live_rows_not_scored_again": seen},
        "counts": data["counts"],
        "due": [one.to_dict() for one in after.due(first, last)],
    }


def _gates(plan: Plan, data: dict[str, Any]) -> list[dict[str, Any]]:
    settings, counts, loaded, live = plan.settings, data["counts"], data["loaded"], data["live_ids"]
    broken = [check["name"] for check in data["conservation"] if not check["ok"]]
    rate, dead = data["dq_critical_pass_rate"], counts["dead_letters"] / counts["bronze"] if counts["bronze"] else 0.0
    cut = loaded["between"] if plan.scope.last_given else loaded["after"]
    return [
        _gate("conservation", not broken, "; ".join(broken) or "every equation holds", "every equation holds"),
        _gate(
            "data quality",
            rate is None or rate >= settings.dq_pass_rate,
            "no critical rule was evaluated" if rate is None else f"critical rules passed {rate:.2%}",
            f"at least {settings.dq_pass_rate:.2%}",
        ),
        _gate("dead letters", dead <= settings.max_dead_letter_share, f"{dead:.2%}", f"at most {settings.max_dead_letter_share:.2%}"),
        _gate(
            "live ids",
            live["share"] <= settings.max_live_share,
            f"{live['ids']:,} transaction ids are in live data too ({live['share']:.2%})",
            f"at most {settings.max_live_share:.2%}",
        ),
        _before_live(data["ends"]),
        _gate("whole files", not cut, f"{cut:,} events of later dates stand among those taken, or weren't asked to be left out", "none"),
    ]


def _before_live(ends: dict[str, Any]) -> dict[str, Any]:
    date_ok = ends["live_date"] is None or ends["last_date"] < ends["live_date"]
    clock_ok = ends["live_clock"] is None or ends["last_clock"] is None or ends["last_clock"] < ends["live_clock"]
    found = f"it ends on {ends['last_date']}; live data begin on {ends['live_date'] or 'no date yet'}"
    return _gate("before live data", date_ok and clock_ok, found, "by date and by each account's clock")


def _gate(name: str, ok: bool, found: str, allowed: str) -> dict[str, Any]:
    return {"gate": name, "verdict": "pass" if ok else "stop", "ok": ok, "found": found, "allowed": allowed}
