"""A report's data as words and tables; knows nothing of the lake but the names in the data.

Scalars become lines, a list of objects becomes a table, an object becomes a block of lines, a list of texts becomes
bullets; in the order in which the report gives them. Only `sql` is shown otherwise: its rows are the whole answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakewarden.cli.face import ready

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPE_WIDTH: Final = 240
"""Columns when the output is no terminal: wide enough that tables stay one row a line."""

_PLAIN_INTEGERS: Final = ("seq", "version", "batch", "pid", "seed", "year")
_BANDS: Final = {"HIGH": "bold red", "MEDIUM": "yellow", "LOW": "green", "PASSED": "green", "FAILED": "bold red", "WARNED": "yellow"}


def render(command: str, data: Mapping[str, object], out: TextIO) -> None:
    """Write a report's `data` (with `ok`) for a person to read."""
    plain = ready(data)
    if not isinstance(plain, dict):
        raise TypeError(f"a report is an object, not {type(plain).__name__}")
    console = Console(file=out, width=None if out.isatty() else PIPE_WIDTH, highlight=False)
    if command == "sql":
        _render_rows(plain, console)
        return
    ok = bool(plain.pop("ok", True))
    console.print(_headline(command, ok, plain.pop("seconds", None)))
    for part in _parts(plain):
        console.print(part, soft_wrap=isinstance(part, Text))  # a command that is shown can be copied in one piece


def _headline(command: str, ok: bool, seconds: object) -> Text:
    text = Text("ok  " if ok else "NOT OK  ", style="bold green" if ok else "bold red")
    text.append(command, style="bold default")
    if isinstance(seconds, (int, float)):
        text.append(f"  {_number('seconds', float(seconds))} s", style="dim not bold")
    return text


def _parts(data: Mapping[str, object]) -> list[RenderableType]:
    lines = {key: value for key, value in data.items() if _is_line(value)}
    parts: list[RenderableType] = [_lines(lines)] if lines else []
    for key, value in data.items():
        if _is_line(value):
            continue
        parts.append(Text(f"\n{_words(key)}", style="bold"))
        if isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values()):
            parts.append(_table([{"": name, **item} for name, item in value.items()]))
        elif isinstance(value, Mapping):
            parts.extend(_parts(value))
        elif isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
            parts.append(_table([item for item in value if isinstance(item, Mapping)]))
        elif isinstance(value, Sequence):
            parts.append(Text("\n".join(f"  - {_text(key, item)}" for item in value) or "  none", style="none" if value else "dim"))
    return parts


def _is_line(value: object) -> bool:
    return not isinstance(value, (Mapping, list)) or value == {}


def _lines(data: Mapping[str, object]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for key, value in data.items():
        grid.add_row(f"  {_words(key)}", _cell(key, value))
    return grid


def _table(rows: Sequence[Mapping[str, object]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(_words(name), justify=_side(name, rows), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, row.get(name)) for name in names))
    return table


def _render_rows(data: Mapping[str, object], console: Console) -> None:
    rows = data.get("data")
    found = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    if found:
        names = list(found[0])
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(name, justify=_side(name, found), overflow="fold")
        for row in found:
            table.add_row(*(Text(_raw(row.get(name))) for name in names))
        console.print(table)
    if data.get("notice"):
        console.print(Text(f"notice: {data['notice']}", style="yellow"))
    total = data.get("rows")
    count = total if isinstance(total, int) else len(found)
    more = ", more were left out (--limit)" if data.get("truncated") else ""
    console.print(Text(f"{_number('rows', count)} row{'' if count == 1 else 's'}{more}", style="dim"))


def _side(name: str, rows: Sequence[Mapping[str, object]]) -> Literal["left", "right"]:
    return "right" if all(row.get(name) is None or isinstance(row.get(name), (int, float)) for row in rows) else "left"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _cell(key: str, value: object) -> Text:
    text = _text(key, value)
    return Text(text, style=_BANDS.get(text, ""))


def _text(key: str, value: object) -> str:
    if value is None or value in ({}, ""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _number(key, value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(key: str, value: float) -> str:
    if key == "bytes" or key.endswith("_bytes"):
        return _size(value)
    if key.endswith(("_rate", "_share")) and 0 <= value <= 1:
        return f"{value:.2%}"
    if key.endswith("score"):
        return f"{value:.6f}"
    if isinstance(value, int):
        return str(value) if key in _PLAIN_INTEGERS or key.endswith(("_seq", "_version")) else f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def _size(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _raw(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
