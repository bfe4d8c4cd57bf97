"""The evidence of an incident as a page: one HTML file without a script or anything from outside, to read and to print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lakewarden.operations.evidence import Evidence

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; } .muted { color: #59636e; } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e6e9ec; overflow-wrap: anywhere; }
th { font-weight: 600; color: #59636e; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.ok, .bad { display: inline-block; padding: 0 .5rem; border-radius: .6rem; font-weight: 600; }
.ok { background: #dafbe1; color: #116329; } .bad { background: #ffebe9; color: #a40e26; }
code, pre { font: .82rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; } tr, pre { break-inside: avoid; } }
"""


def page(evidence: Evidence) -> str:
    """The page."""
    incident = evidence.incident
    body = "\n".join(
        [
            f"<h1>{escape(incident.id)}: {escape(incident.title)}</h1>",
            f'<p class="muted">Evidence from {escape(evidence.lake)}, packed {evidence.packed.isoformat()}. Dates: {evidence.span[0]} to '
            f"{evidence.span[1]} ({escape(evidence.why)}). SHA256SUMS lists the files that lie beside this page.</p>",
            _incident(evidence),
            _notes(evidence),
            _receipts(evidence),
            _statements(evidence),
            _runs(evidence),
            _tables(evidence),
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(incident.id)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _incident(evidence: Evidence) -> str:
    one = evidence.incident
    lines = {
        "State": one.state,
        "Severity": one.severity,
        "Owner": one.owner,
        "Opened": f"{one.opened_time}, by {one.opened_by}",
        "Last seen": f"{one.seen_time} ({one.seen_count} times)",
        "Impact": _span(one.impact_from, one.impact_to),
        "Tables": ", ".join(one.tables),
        "Dates": _span(one.first_date, one.last_date),
        "Root cause": one.cause,
        "Remediation": one.remediation,
        "Closed": one.closed_time and f"{one.closed_time}, by {one.closed_by}",
        "Follows": one.follows,
        "Run": one.run_id,
        **{str(name).replace("_", " "): value for name, value in one.detail.items()},
    }
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in lines.items())
    return f"<h2>The incident</h2><table>{rows}</table>"


def _notes(evidence: Evidence) -> str:
    notes = evidence.incident.notes
    return "<h2>Notes</h2>" + table(("time", "author", "text"), [(note.time, note.author, note.text) for note in notes])


def _receipts(evidence: Evidence) -> str:
    verified = evidence.verification
    verdict = '<span class="ok">whole</span>' if verified.ok else '<span class="bad">not whole</span>'
    parts = [
        f"<h2>Receipts</h2><p>The chain of all {verified.receipts} receipts of the lake is {verdict}. "
        f"Head: <code>{escape(verified.head or 'none')}</code></p>"
    ]
    if verified.findings:
        parts.append(table(("receipt", "finding", "what"), [(one.number, one.kind, one.what) for one in verified.findings]))
    keys = [(key.key_id, "yes" if key.held else "no", key.receipts, key.first, key.last) for key in verified.keys]
    parts.append(table(("key", "held by the verifier", "receipts", "first", "last"), keys))
    parts += [f'<p class="muted">{escape(note)}</p>' for note in verified.notes]
    for one in evidence.receipts:
        parts.append(f"<h3>Receipt {one.number}: {escape(one.kind)}</h3>")
        shown = {
            "When, who": f"{one.time}, {one.actor} on {one.host}",
            "Why": one.reason,
            "Plan": one.plan,
            "Predicted": one.predicted,
            "What happened": one.outcome,
            "Tables": one.tables,
            "Counts": one.counts,
            "Hash totals": one.hash_totals,
            "Releases": ", ".join(one.releases),
            "Approvals": one.approvals,
            "Hash": one.hash,
        }
        parts.append("<table>" + "".join(f"<tr><th>{name}</th><td>{_cell(value)}</td></tr>" for name, value in shown.items()) + "</table>")
    return "".join(parts)


def _statements(evidence: Evidence) -> str:
    rows = [
        (stated["date"], stated["point"], "holds" if stated["ok"] else "does not hold", stated["rows"], stated["stated"])
        for stated in evidence.statements.values()
    ]
    return "<h2>Conservation statements</h2>" + table(("date", "published point", "verdict", "events", "stated"), rows)


def _runs(evidence: Evidence) -> str:
    names = list(evidence.summary[0]) if evidence.summary else []
    packed = f"{evidence.runs.height} of {evidence.all_runs} micro-batches are in runs/runs.csv."
    return f"<h2>Runs</h2><p>{packed}</p>" + table(
        [name.replace("_", " ") for name in names], [list(row.values()) for row in evidence.summary]
    )


def _tables(evidence: Evidence) -> str:
    point = evidence.point
    told = f"<p>Published point {point.point} of {escape(point.published_time)}, newest micro-batch {point.batch}.</p>"
    return f"<h2>Tables when this was packed</h2>{told}" + table(("table", "version"), sorted(point.versions.items()))


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table, or a line that says that there is nothing; columns whose first value is a number stand to the right."""
    rows = list(rows)
    if not rows:
        return '<p class="muted">None.</p>'
    body = "".join("<tr>" + "".join(f"<td{_side(value)}>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    head = "".join(f"<th{_side(first)}>{escape(name)}</th>" for name, first in zip(names, rows[0], strict=True))
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _side(value: object) -> str:
    return ' class="n"' if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _cell(value: object) -> str:
    if value is None or value in ("", (), [], {}):
        return '<span class="muted">-</span>'
    if isinstance(value, Mapping | list | tuple):
        return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False, default=str))}</pre>"
    return escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))


def _span(first: str | None, last: str | None) -> str | None:
    return None if first is None and last is None else f"{first or '?'} to {last or '?'}"
