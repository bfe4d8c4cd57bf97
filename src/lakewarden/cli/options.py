"""Options that several commands share, and the classes that give every command its examples."""

from __future__ import annotations

import os
import re
import sys
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lakewarden.errors import UsageError

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.formatting import HelpFormatter


class Engine(StrEnum):
    """What an operation's work runs on."""

    embedded = "embedded"
    spark = "spark"


LakeOption = Annotated[
    str | None,
    typer.Option("--lake", metavar="PATH", envvar="LAKEWARDEN_LAKE", help="The lake: a local folder or az://container/path."),
]
EngineOption = Annotated[
    Engine, typer.Option("--engine", envvar="LAKEWARDEN_ENGINE", help="What does the work: this process, or Spark (lakewarden[spark]).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
DateOption = Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The event_date to look at.")]
MappingOption = Annotated[
    str | None,
    typer.Option("--mapping", metavar="FILE", help="YAML file that maps the source's column names to the event contract."),
]
ConfigOption = Annotated[
    str | None,
    typer.Option("--source-config", metavar="FILE", help="Of a topic: YAML of librdkafka properties; secrets as env:NAME, keyvault:V/S."),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; goes into the receipt.")]
IncidentOption = Annotated[
    str | None, typer.Option("--incident", metavar="ID", help="The incident that it belongs to; goes into the receipt.")
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same bytes on any machine.")]

_HEADING = re.compile(r"^([A-Z][a-z ]+):( |$)", re.MULTILINE)


def examples(*lines: str) -> str:
    """What a command's help lists under Examples: one command a line, aligned by hand."""
    return "\n".join(lines)


def parsed_date(text: str) -> date:
    """A date that an option names.

    Raises:
        UsageError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no date", state="nothing was done", next="write it as YYYY-MM-DD, for example 2026-01-06") from error


def _headings_bold(text: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return _HEADING.sub(lambda found: typer.style(f"{found[1]}:", bold=True) + found[2], text)


def _write_examples(epilog: str | None, formatter: HelpFormatter) -> None:
    if epilog:
        formatter.write_paragraph()
        formatter.write_heading("Examples")
        formatter.write("".join(f"  {line}\n" for line in epilog.splitlines()))


class TaughtCommand(TyperCommand):
    """A command whose help ends in examples, as plain text: Rich's help would take twice the time that is allowed."""

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples as they stand, without wrapping."""
        _write_examples(self.epilog, formatter)

    def get_help(self, ctx: Context) -> str:
        """The help text, its headings bold on a terminal."""
        return _headings_bold(super().get_help(ctx))


def commands(**settings: Any) -> typer.Typer:  # noqa: ANN401  # Typer's own settings, passed on
    """A part of the application: commands with plain help and no completion options."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, **settings)


class TaughtGroup(TyperGroup):
    """A group of commands that lists them in the order of a day's work, not of definition."""

    order: tuple[str, ...] = ()

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples as they stand, without wrapping."""
        _write_examples(self.epilog, formatter)

    def get_help(self, ctx: Context) -> str:
        """The help text, its headings bold on a terminal."""
        return _headings_bold(super().get_help(ctx))

    def list_commands(self, ctx: Context) -> list[str]:
        """The names of the commands: those named in `order` first, in that order."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: self.order.index(name) if name in self.order else len(self.order))
