"""The report of a validation as a page: one HTML file without a script or anything from outside, to read and to print."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from lakewarden.operations.evidence_page import STYLE, table

if TYPE_CHECKING:
    from lakewarden.operations.replay.plan import Plan


def page(plan: Plan, report: Mapping[str, Any]) -> str:
    """The page: verdict, gates, differences by class, counts, bands, rules, conservation, examples, the plan."""
    badge = '<span class="ok">pass</span>' if report["ok"] else '<span class="bad">stop</span>'
    release = f"release {plan.release}" if plan.release else "the releases as recorded"
    body = "\n".join(
        [
            f"<h1>Replay of {plan.dates[0]} to {plan.dates[1]}</h1>",
            f'<p class="muted">{escape(plan.id)}, under {escape(release)}; planned by {escape(plan.who)} at {escape(plan.time)};',
            f"validated at {escape(str(report['validated']))} against published point {report['point']}.</p>",
            f"<p><strong>{badge} {escape(str(report['verdict']))}</strong></p>",
            f"<p>Reason: {escape(plan.reason)}. Incident: {escape(plan.incident or 'none')}.</p>",
            section("Gates", ("gate", "verdict", "found", "allowed"), report["gates"]),
            section("Differences by class", ("class", "rows", "meaning"), report["classes"]),
            section("Differences by table and kind", ("table", "kind", "class", "rows"), report["kinds"]),
            _matrix(report),
            section("Rows and amounts", ("table", "date", "old", "new", "change", "old_amount", "new_amount"), report["rows"]),
            '<p class="muted">Amounts in minor units of the base currency. Events that arrived after the plan are left out.</p>',
            section("Alerts that would be opened, closed, kept", ("opened", "closed", "kept"), [report["alerts"]]),
            _rules(report),
            _service_level(report),
            _conservation(report),
            _examples(report),
            _plan(plan),
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(plan.id)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def section(title: str, names: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """A heading and a table of some columns."""
    shown = [name.replace("_", " ") for name in names]
    return f"<h2>{escape(title)}</h2>" + table(shown, [[row.get(name) for name in names] for row in rows])


def _matrix(report: Mapping[str, Any]) -> str:
    cells = {(cell["old"], cell["new"]): cell["transactions"] for cell in report["bands"]}
    names = [band for band in ("LOW", "MEDIUM", "HIGH") if any(band in pair for pair in cells)]
    rows = [[f"was {old}", *(cells.get((old, new), 0) for new in names)] for old in names]
    share = f"<p>{report['band_move_share']:.2%} of the transactions that both sides scored moved to another band.</p>"
    return "<h2>Bands, old against new</h2>" + share + table(["", *(f"is {name}" for name in names)], rows)


def _rules(report: Mapping[str, Any]) -> str:
    rows = [
        (
            rule["rule"],
            rule["criticality"],
            rule["old_rows"],
            _percent(rule["old_pass_rate"]),
            rule["new_rows"],
            _percent(rule["new_pass_rate"]),
        )
        for rule in report["dq_rules"]
    ]
    told = '<p class="muted">Old: of the micro-batches that the dates\' arrivals touch. New: of those arrivals themselves.</p>'
    names = ("rule", "criticality", "old events", "old pass rate", "new events", "new pass rate")
    return "<h2>Data-quality rules</h2>" + told + table(names, rows)


def _service_level(report: Mapping[str, Any]) -> str:
    found = report["service_level"]
    old = found["latency_p95_ms"]["old"]
    told = "no micro-batch is recorded" if old is None else f"p95 {old / 1000:,.1f} s as it was streamed"
    return f"<h2>Service level of latency</h2><p>{told}; the level is {found['level_ms'] / 1000:,.0f} s. A replay has no latency.</p>"


def _conservation(report: Mapping[str, Any]) -> str:
    rows = [
        (stated["date"], check["name"], check["left"], check["right"], "holds" if check["ok"] else "does not hold")
        for stated in report["conservation_statements"]
        for check in stated["checks"]
    ]
    return "<h2>Conservation in the sandbox</h2>" + table(("date", "equation", "left", "right", "verdict"), rows)


def _examples(report: Mapping[str, Any]) -> str:
    names = ("class", "kind", "table", "seq", "transaction_id", "old_band", "new_band", "old_score", "new_score", "columns")
    told = f'<p class="muted">The first {len(report["examples"])} of {report["differences"]:,}; all of them are in differences.parquet.</p>'
    return section("Examples of differing rows", names, report["examples"]) + told


def _plan(plan: Plan) -> str:
    rows = [(one.name, "holds" if one.ok else "fails", one.what) for one in plan.preconditions]
    versions = table(("table", "version"), sorted(plan.versions.items()))
    return f"<h2>Preconditions of the plan</h2>{table(('precondition', 'verdict', 'what'), rows)}<h2>Tables that it saw</h2>{versions}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.2%}"
