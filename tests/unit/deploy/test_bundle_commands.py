"""Each task's parameters, parsed by the command line itself: a renamed option breaks the job here and not at night."""

import re

import pytest
import typer

from lakewarden.cli.job import HAND_ON, arranged
from lakewarden.cli.main import app
from makers.deployment import DYNAMIC, ROOT, command, resolved, tasks

EXAMPLES = {
    "from": "2026-01-05",
    "to": "2026-01-06",
    "date": "2026-01-05",
    "under": "--release=r3f9a2c",
    "reason": "corrected limits",
    "incident": "INC-DATA01-000001",
    "replay_id": "replay-1f0c9a7b3d52",
    "backfill_id": "backfill-1f0c9a7b3d52",
    "release": "r3f9a2c",
    "source": "history/cards",
    "mapping": "/Volumes/c/files/landing/mappings/cards.yaml",
    "line_of_business": "cards",
    "note": "agreed on",
    "fan": "2",
    "labels": "/Volumes/c/files/landing/labels.csv",
    "reference": "/Volumes/c/files/landing/reference",
}
VERSION = "2"  # what `to` means for a model
TASKS = [pytest.param(name, task, id=f"{name}/{task['task_key']}") for name, task in tasks()]


def leaf(arguments):
    """The command that these arguments name, and the arguments that are left for it."""
    found, rest, context = typer.main.get_command(app), list(arguments), None
    while hasattr(found, "commands"):
        context = found.make_context(rest[0], rest, parent=context)
        _, found, rest = found.resolve_command(context, [*context._protected_args, *context.args])
    return found, rest, context


def filled(task, values):
    """The arguments as a run gives them: a parameter is its value, else empty; a value of another task is an id."""

    def value(found):
        kind, *path = found[1].split(".")
        return values.get(path[-1], "") if kind == "job" else "replay-1f0c9a7b3d52"

    return [DYNAMIC.sub(value, text) for text in command(task)]


def parsed(arguments):
    field, given = arranged(arguments)
    found, rest, context = leaf(given)
    return field, found, found.make_context(found.name, rest, parent=context).params


def needed(task):
    """The parameters of a job without which the command can't be called."""
    found, _, _ = leaf(arranged(command(task))[1])
    required = {option for parameter in found.params if parameter.required for option in getattr(parameter, "opts", [])}
    for text in command(task):
        for name in re.findall(r"\{\{job\.parameters\.(\w+)\}\}", text):
            if text.split("=")[0] in required or not text.startswith("--"):
                yield name


def examples(name):
    return {**EXAMPLES, **({"to": VERSION} if name == "model_rollback" else {})}


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_task_with_every_parameter_given_is_a_command(name, task):
    values = examples(name)
    arguments = filled(task, values)
    _, _, got = parsed(arguments)
    assert "" not in arguments
    taken = {str(item) for value in got.values() for item in (value if isinstance(value, list | tuple) else [value])}
    for text in command(task):
        for parameter in re.findall(r"^--[a-z-]+=\{\{job\.parameters\.(\w+)\}\}$", text):
            assert values[parameter] in taken, f"{parameter} arrives nowhere"


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_task_with_the_least_given_is_a_command(name, task):
    defaults = {one["name"]: one["default"] for one in resolved("prod")["jobs"][name].get("parameters", [])}
    given = {parameter: examples(name)[parameter] for parameter in needed(task)} | {key: value for key, value in defaults.items() if value}
    parsed(filled(task, given))


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_field_that_is_handed_on_is_in_the_commands_report(name, task):
    field, given = arranged(command(task))
    if not field:
        assert not any(text.startswith(HAND_ON) for text in command(task))
        return
    guide = (ROOT / "docs" / "guide.md").read_text()
    section = re.search(rf"^### lakewarden {given[0]} {given[1]}\n(.*?)(?=^### )", guide, flags=re.MULTILINE | re.DOTALL)[1]
    assert f"`{field}`" in section.split("JSON:")[1]


def test_the_source_of_the_stream_is_a_topic_that_the_product_reads():
    from lakewarden.sources.kafka.address import parse_address

    source = next(text for text in command(resolved("prod")["jobs"]["stream"]["tasks"][0]) if text.startswith("--source="))
    address = parse_address(source.removeprefix("--source="))
    assert (address.scheme, address.topic, address.group) == ("eventhub", "transactions-stream", "lakewarden")


def test_work_on_tables_is_on_spark():
    on_spark = {name for name, task in tasks() if "--engine=spark" in command(task)}
    assert on_spark == set(resolved("prod")["jobs"]) - {"train", "model_rollback", "prepare", "compact"}
