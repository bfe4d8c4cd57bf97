"""A stream's pulse drawn for a terminal of any size: what matters first, and no more lines than there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

BLOCKS: Final = " ▏▎▍▌▋▊▉█"
SPARKS: Final = "▁▂▃▄▅▆▇█"
WIDE: Final = 120
STAGES_WIDTH: Final = 44
STYLES: Final = {"streaming": "green", "recovering": "yellow", "starting": "yellow", "stopped": "dim", None: "dim"}
"""Of states; any other is trouble."""

COUNTS: Final = ("bronze", "gold", "alerts", "dead_letters", "duplicates")
MISSING: Final = "-"


@dataclass(frozen=True)
class View:
    """One look at a stream.

    Attributes:
        data: what `Lake.pulse` gave.
        rates: events a second between one pulse and the next, oldest first.
        incidents: titles by id.
        trouble: why the last look failed, if it did.
    """

    data: Mapping[str, Any]
    rates: Sequence[float]
    incidents: Mapping[str, str]
    trouble: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        """Drawn into the terminal's present size."""
        width, height = console.size
        head, pulse = self._head(width), self.data["pulse"]
        if pulse is None:
            yield Group(*head, Text("\n  No stream has run on this lake yet.", style="dim"))
            return
        figures, tables, foot = self._figures(pulse, width), self._tables(pulse), self._foot(pulse, width)
        stages = stage_bars(pulse["stage_share"]) if width >= WIDE else None
        left = height - len(head) - figures.row_count - (2 if stages is None else 1) - foot.row_count - 4
        partitions = partition_table(pulse["partitions"], width if stages is None else width - STAGES_WIDTH, left)
        below: list[RenderableType] = [tables]
        if stages is None:
            below = [below[0], foot] if partitions is None else [partitions, Text(""), tables, foot]
        else:
            below = [side_by_side(partitions, stages), Text(""), tables, foot]
        yield Group(*head, Text(""), figures, Text(""), *below)

    def _head(self, width: int) -> list[RenderableType]:
        data, pulse = self.data, self.data["pulse"] or {}
        state = data["state"]
        style = STYLES.get(state, "bold red")
        head = Text.assemble(("● ", style), (state or "no stream", f"bold {style}"))
        if data["stream"] and pulse.get("started"):
            head.append(f" for {span(seconds_between(pulse['started'], data['time']))}")
        if data["age_seconds"] is not None:
            old = data["age_seconds"] > 5 and data["stream"]
            head.append(f"   pulse of {duration(data['age_seconds'])} ago", "bold red" if old else "dim")
        release, point = pulse.get("release") or data["release"], data["published"]["point"]
        names = f"  {pulse.get('source', '')}   {data['lake']}   point {point:,}   {release}"
        lines = [head, Text(names, style="dim")]
        if self.trouble:
            lines.append(Text(f"  {self.trouble}", style="bold red"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return [*lines]

    def _figures(self, pulse: Mapping[str, Any], width: int) -> Table:
        late, slo, grid = pulse["latency_ms"], float(self.data["slo_seconds"]), grid_of_lines()
        now = self.rates[-1] if self.rates else pulse["rate"]
        rate = Text.assemble((f"{now:,.0f}", "bold"), " events/s", (f"   {pulse['rate']:,.0f} over a minute   ", "dim"))
        grid.add_row("throughput", rate.append(spark(self.rates, max(0, width - rate.cell_len - 14)), "cyan"))
        if late:
            percentiles = Text()
            for name in ("p50", "p95", "p99", "max"):
                percentiles.append(f"{name} ", "dim").append(f"{duration(late[name] / 1000)}   ", colour(late[name] / 1000 / slo))
            share = late["p95"] / 1000 / slo
            level = Text.assemble((bar(share, 24), f"{colour(share)} on grey23"), f" p95 is {share:.1%} of {slo:g} s")
            grid.add_row("latency", percentiles)
            grid.add_row(f"by {pulse['latency_from'].split()[0]}", level.append(f"   {pulse['on_time']:.2%} in time", "dim"))
        else:
            grid.add_row("latency", Text("nothing was published in the last minute", style="dim"))
        batch, took = pulse["batch_rows"], pulse["batch_seconds"]
        if batch:
            sizes = Text(f"{batch['p50']:,.0f} rows (max {batch['max']:,.0f}) in {duration(took['p50'])} (p95 {duration(took['p95'])})")
            grid.add_row("micro-batch", sizes.append(f"   {pulse['micro_batches']:,} so far", "dim"))
        hand = Text(f"{pulse['unpublished_events']:,} events for {duration(pulse['unpublished_seconds'])}")
        grid.add_row("in hand", hand.append(f"   {duration(pulse['idle_seconds'])} since the last publication", "dim"))
        if pulse["lag"] is None:
            grid.add_row("lag", Text("not known: files have no end to compare with", style="dim"))
        else:
            skewed = "" if pulse["skew"] is None else f"   skew {pulse['skew']:.2f} of {len(pulse['partitions'])} partitions"
            grid.add_row("lag", Text(f"{pulse['lag']:,} events").append(skewed, "dim"))
        return grid

    def _tables(self, pulse: Mapping[str, Any]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("this run", style="dim", min_width=11)
        for name in COUNTS:
            table.add_column(name.replace("_", " "), justify="right", min_width=9)
        table.add_row("rows", *(f"{pulse['counts'].get(name, 0):,}" for name in COUNTS))
        return table

    def _foot(self, pulse: Mapping[str, Any], width: int) -> Table:
        grid, room = grid_of_lines(), width - 14
        if pulse["stage_share"] and width < WIDE:
            most = sorted(pulse["stage_share"].items(), key=lambda item: -item[1])
            grid.add_row("stages", clipped("   ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in most), room))
        troubles = "   ".join(f"{kind} {count:,}" for kind, count in pulse["troubles"].items())
        held = f"   held back for {duration(pulse['throttled_ms'] / 1000)}" if pulse["throttled_ms"] else ""
        grid.add_row("troubles", clipped((troubles or "none") + held, room, "yellow" if troubles else "dim"))
        for at, (name, title) in enumerate(list(self.incidents.items())[-2:]):
            grid.add_row("" if at else "incidents", clipped(f"{name}  {title}", room, "red"))
        lost = sum(pulse["telemetry_errors"].values())
        about = f"{pulse['memory_bytes'] / 1e6:,.0f} MB   pid {pulse['pid']} on {pulse['host']}   {pulse['run_id']}"
        grid.add_row("process", clipped(about + (f"   {lost:,} reports lost" if lost else ""), room, "dim"))
        return grid


def partition_table(partitions: Sequence[Mapping[str, Any]], width: int, rows: int) -> Table | None:
    """Partitions by name, as many as there is room for: those that are furthest behind, and how many more there are."""
    if not partitions or rows < 2:
        return None
    found = sorted(partitions, key=lambda one: -(one["lag"] or 0))
    most = max(one["lag"] or 0 for one in found) or 1
    shown = found if len(found) < rows else found[: rows - 2]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("partition", "position", "end", "lag"):
        table.add_column(name, justify="right", min_width=9)
    table.add_column("")
    for one in sorted(shown, key=lambda one: (len(one["partition"]), one["partition"])):
        numbers = [MISSING if one[name] is None else f"{one[name]:,}" for name in ("position", "end", "lag")]
        table.add_row(one["partition"], *numbers, Text(bar((one["lag"] or 0) / most, max(8, min(60, width - 56))), style="cyan"))
    if len(shown) < len(found):
        rest = found[len(shown) :]
        table.add_row(f"{len(rest)} more", "", "", f"{sum(one['lag'] or 0 for one in rest):,}", "")
    return table


def stage_bars(shares: Mapping[str, float]) -> Table:
    """Each stage's share of the time, the largest first."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("stage")
    table.add_column("share", justify="right")
    table.add_column("")
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        table.add_row(name.replace("_", " "), f"{share:.0%}", Text(bar(share, 20), style="cyan"))
    return table


def side_by_side(left: Table | None, right: Table) -> Table:
    """Two tables beside each other; the right one alone where there is no left one."""
    if left is None:
        return right
    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(left, right)
    return grid


def grid_of_lines() -> Table:
    """A grid of a name and what is to be said of it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", min_width=11)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    return grid


def clipped(text: str, width: int, style: str = "") -> Text:
    """A text that ends in an ellipsis where it is too long."""
    made = Text(text, style=style, no_wrap=True)
    made.truncate(max(1, width), overflow="ellipsis")
    return made


def bar(share: float, width: int) -> str:
    """A bar that fills a share of the width, to an eighth of a character; a share of nearly nothing still shows."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    eighths = max(eighths, 1) if share > 0 else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (BLOCKS[rest] if rest else "")).ljust(width)


def spark(values: Sequence[float], width: int) -> str:
    """The newest values as columns, the highest a full one."""
    newest = values[-width:]
    most = max(newest, default=0.0)
    return "".join(SPARKS[min(7, int(value / most * 7.999))] if most > 0 else SPARKS[0] for value in newest)


def colour(share: float) -> str:
    """Of a figure that may be as large as 1."""
    return "bold red" if share > 1 else "yellow" if share > 0.5 else "green"


def duration(seconds: float) -> str:
    """A duration in the unit that fits it."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 119.95 else span(seconds)


def span(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours}:{minutes:02}:{rest:02}" if days else f"{hours}:{minutes:02}:{rest:02}"


def seconds_between(begin: str, end: str) -> float:
    """Between two instants in ISO 8601."""
    from datetime import datetime

    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())
