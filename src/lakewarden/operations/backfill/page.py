"""The report of a backfill's validation as a page: one HTML file without a script or anything from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from lakewarden.operations.evidence_page import STYLE, table
from lakewarden.operations.replay.page import section

if TYPE_CHECKING:
    from lakewarden.operations.backfill.plan import Plan


def page(plan: Plan, report: Mapping[str, Any]) -> str:
    """The page: verdict, gates, dates, conservation, rules, document, the plan."""
    badge = '<span class="ok">pass</span>' if report["ok"] else '<span class="bad">stop</span>'
    span, of = report["document"]["range"], ("name", "left", "right", "ok")
    by_date = ("date", "events", "silver", "dead_letters", "duplicates", "alerts", "low", "medium", "high", "amount_base_minor")
    said = [(name.replace("_", " "), json.dumps(value, default=str)) for name, value in report["document"].items()]
    body = "\n".join(
        [
            f"<h1>Backfill of {span['from']} to {span['to']}</h1>",
            f'<p class="muted">{escape(plan.id)}, {escape(plan.scope.source)}, under release {escape(plan.release)}; planned by '
            f"{escape(plan.who)} at {escape(plan.time)}; validated at {escape(str(report['validated']))}.</p>",
            f"<p><strong>{badge} {escape(str(report['verdict']))}</strong></p>",
            f"<p>Reason: {escape(plan.reason)}. Incident: {escape(plan.incident or 'none')}.</p>",
            section("Gates", ("gate", "verdict", "found", "allowed"), report["gates"]),
            section("Conservation", of, report["conservation"]),
            section("Dates", by_date, report["dates"]),
            '<p class="muted">Amounts in minor units of the base currency.</p>',
            section("Data-quality rules", ("rule", "criticality", "rows", "failed", "pass_rate"), report["dq_rules"]),
            "<h2>Document</h2>" + table(("what", "is"), said),
            section("Preconditions of the plan", ("name", "ok", "what"), [one.__dict__ for one in plan.preconditions]),
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(plan.id)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
