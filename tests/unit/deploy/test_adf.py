"""Data Factory's templates: every reference and expression, and the jobs of the bundle that they start."""

import datetime as dt
import json
import re

import pytest

from makers.deployment import DEPLOY, command, resolved, strings
from makers.expressions import read

TEMPLATES = {path.name: json.loads(path.read_text()) for path in sorted((DEPLOY / "adf").glob("*.json"))}
JOBS = resolved("prod")["jobs"]
FUNCTIONS = {"pipeline", "dataset", "trigger", "activity", "concat", "formatDateTime", "addDays"}
ARM_FUNCTIONS = {"parameters", "concat", "resourceId"}
KINDS = {
    "linkedservices": "LinkedServiceReference",
    "datasets": "DatasetReference",
    "pipelines": "PipelineReference",
    "integrationruntimes": "IntegrationRuntimeReference",
}
RESOURCES = {
    (one["type"].rsplit("/", 1)[1], re.search(r"'/(\w+)'", one["name"])[1]): one["properties"]
    for made in TEMPLATES.values()
    for one in made["resources"]
}
PIPELINES = {name: told for (kind, name), told in RESOURCES.items() if kind == "pipelines"}
ACTIVITIES = [pytest.param(name, one, id=f"{name}/{one['name']}") for name, told in PIPELINES.items() for one in told["activities"]]


def expressions(value):
    """Every expression in it, without its @."""
    return [text[1:] for text in strings(value) if text.startswith("@")]


def references(value):
    """Every reference to another resource in it."""
    if isinstance(value, dict):
        if "referenceName" in value:
            yield value
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_one_and_says_how_it_was_checked(name):
    made = TEMPLATES[name]
    assert set(made) == {"$schema", "contentVersion", "metadata", "parameters", "resources"}
    assert made["metadata"]["description"].startswith("Not deployed from here: ")
    for one in made["resources"]:
        assert set(one) == {"type", "apiVersion", "name", "dependsOn", "properties"}
        assert one["apiVersion"] == "2018-06-01"
        assert one["type"].startswith("Microsoft.DataFactory/factories/")
    for parameter in made["parameters"].values():
        assert set(parameter) == {"type", "metadata"}, "no default: none fits everybody, and a secret would stand in a file"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_templates_own_expressions_name_parameters_that_there_are(name):
    made, named = TEMPLATES[name], set()
    for text in strings(made["resources"]):
        if text.startswith("["):
            assert text.endswith("]")
            for call in read(text[1:-1]).all():
                assert call.name in ARM_FUNCTIONS, text
                named |= set(call.arguments) if call.name == "parameters" else set()
    assert named == set(made["parameters"])


def test_what_a_resource_waits_for_is_in_its_template():
    for made in TEMPLATES.values():
        here = {re.search(r"'/(\w+)'", one["name"])[1]: one["type"] for one in made["resources"]}
        for one in made["resources"]:
            used = {reference["referenceName"] for reference in references(one["properties"])}
            waits = [read(text[1:-1]).arguments for text in one["dependsOn"]]
            assert {(kind, name) for kind, _, name in waits} == {(here[name], name) for name in used if name in here}


def test_every_reference_leads_to_something_and_gives_what_it_takes():
    found = [reference for told in RESOURCES.values() for reference in references(told)]
    assert {reference["type"] for reference in found} == set(KINDS.values())
    factory = (DEPLOY / "azure" / "datafactory.bicep").read_text()
    runtimes = re.findall(r"integrationRuntimes@[\d-]+' = \{.*?name: '(\w+)'", factory, re.DOTALL)
    for reference in found:
        kind = next(kind for kind, name in KINDS.items() if name == reference["type"])
        if kind == "integrationruntimes":
            assert reference["referenceName"] in runtimes
            continue
        target = RESOURCES[kind, reference["referenceName"]]
        if kind == "pipelines":
            continue  # what it gets stands beside the reference: see the next test
        takes = target.get("parameters", {})
        gives = reference.get("parameters", {})
        assert set(gives) <= set(takes), reference
        assert {name for name, one in takes.items() if "defaultValue" not in one} <= set(gives), reference


def test_a_triggers_parameters_are_its_pipelines():
    for (kind, name), told in RESOURCES.items():
        if kind == "triggers":
            for one in told["pipelines"]:
                takes = PIPELINES[one["pipelineReference"]["referenceName"]]["parameters"]
                assert set(one["parameters"]) <= set(takes), name
                assert {key for key, value in takes.items() if "defaultValue" not in value} <= set(one["parameters"]), name


@pytest.mark.parametrize(("kind", "name"), RESOURCES)
def test_expressions_are_whole_and_name_what_there_is(kind, name):
    told, used = RESOURCES[kind, name], set()
    for text in expressions(told):
        for call in read(text).all():
            assert call.name in FUNCTIONS, text
            match call.name:
                case "pipeline":
                    assert kind == "pipelines"
                    assert call.fields[0] == "parameters"
                    used.add(call.fields[1])
                case "dataset":
                    assert kind == "datasets"
                    used.add(call.fields[0])
                case "trigger":
                    assert kind == "triggers"
                    assert call.fields == ["scheduledTime"]
                case "activity":
                    assert call.arguments[0] in {one["name"] for one in told["activities"]}
    assert used == set(told.get("parameters", {}))


@pytest.mark.parametrize("text", ["concat('a', 'b'", "concat('a' 'b')", "concat('a)", "concat('a'))", "pipeline()..x", "a b", "'a'"])
def test_an_expression_that_is_not_whole_is_refused(text):
    with pytest.raises(ValueError, match=r"stands|read|call"):
        read(text)


@pytest.mark.parametrize(("name", "activity"), ACTIVITIES)
def test_an_activity_waits_for_ones_that_stand_before_it(name, activity):
    names = [one["name"] for one in PIPELINES[name]["activities"]]
    assert len(set(names)) == len(names)
    before = names[: names.index(activity["name"])]
    assert {one["activity"] for one in activity["dependsOn"]} <= set(before)
    assert not before or activity["dependsOn"], "else both would start at once"
    assert re.fullmatch(r"\d\.\d\d:\d\d:\d\d", activity["policy"]["timeout"])


@pytest.mark.parametrize(("name", "activity"), [one for one in ACTIVITIES if one.values[1]["type"] == "DatabricksJob"])
def test_a_job_is_one_of_the_bundle_and_gets_parameters_that_it_takes(name, activity):
    told = activity["typeProperties"]
    parameter = re.fullmatch(r"\[parameters\('(\w+)JobId'\)\]", told["jobId"])[1]
    job = JOBS[re.sub(r"(?=[A-Z])", "_", parameter).lower()]
    takes = {one["name"]: one["default"] for one in job["parameters"]}
    assert set(told["jobParameters"]) == set(takes), "one that isn't given can't be given through Data Factory"
    assert activity["linkedServiceName"]["referenceName"] == "lakewarden_databricks"
    if "timeout_seconds" in job:
        assert seconds(activity["policy"]["timeout"]) > job["timeout_seconds"], "Data Factory would give up first, and the job go on"


def seconds(text):
    days, clock = text.split(".")
    return int(days) * 86400 + sum(int(part) * unit for part, unit in zip(clock.split(":"), (3600, 60, 1), strict=True))


def test_files_are_copied_to_where_the_job_looks_for_them():
    copy, backfill = PIPELINES["historical_load"]["activities"]
    source = backfill["typeProperties"]["jobParameters"]["source"]["value"]
    assert source == copy["outputs"][0]["parameters"]["folder"]["value"]
    location = RESOURCES["datasets", "landing_files"]["typeProperties"]["location"]
    volume = resolved("prod")["volumes"]["landing"]
    place = resolved("prod")["external_locations"]["landing"]["url"]
    assert volume["storage_location"] == "${resources.external_locations.landing.url}"
    assert place.startswith(f"abfss://{location['fileSystem']}@")
    asked = next(text for text in command(JOBS["backfill"]["tasks"][0]) if text.startswith("--source="))
    assert asked.endswith("/${resources.volumes.landing.name}/{{job.parameters.source}}")


def test_reconciliation_of_yesterday_is_done_by_six():
    trigger = RESOURCES["triggers", "daily_reconcile"]
    when = trigger["typeProperties"]["recurrence"]
    assert (when["frequency"], when["interval"], when["timeZone"]) == ("Day", 1, "UTC")
    (hour,), (minute,) = when["schedule"]["hours"], when["schedule"]["minutes"]
    assert dt.datetime.fromisoformat(when["startTime"]).time() == dt.time(hour, minute)
    asked = read(expressions(trigger)[0])
    assert (asked.name, asked.arguments[1]) == ("formatDateTime", "yyyy-MM-dd")
    day = asked.arguments[0]
    assert (day.name, day.arguments[0].name, day.arguments[0].fields, day.arguments[1]) == ("addDays", "trigger", ["scheduledTime"], -1)
    (activity,) = PIPELINES["reconcile"]["activities"]
    assert hour * 3600 + minute * 60 + seconds(activity["policy"]["timeout"]) <= 6 * 3600
    warned = [rule["value"] for rule in JOBS["reconcile"]["health"]["rules"] if rule["metric"] == "RUN_DURATION_SECONDS"]
    assert max(warned) < JOBS["reconcile"]["timeout_seconds"]


def test_nobody_signs_in_with_anything_but_the_factorys_identity():
    for (kind, name), told in RESOURCES.items():
        if kind == "linkedservices":
            assert set(told["typeProperties"]) <= {"domain", "authentication", "workspaceResourceId", "url"}, name
            assert told["typeProperties"].get("authentication", "MSI") == "MSI"
