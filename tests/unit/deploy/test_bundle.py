"""The bundle against the resource types that Databricks publishes, and every reference in it against what it names."""

import tomllib
from dataclasses import fields

import pytest
from databricks.bundles.catalogs import Catalog
from databricks.bundles.cluster_policies import ClusterPolicy
from databricks.bundles.external_locations import ExternalLocation
from databricks.bundles.jobs import ClusterSpec, Job
from databricks.bundles.schemas import Schema
from databricks.bundles.secret_scopes import SecretScope
from databricks.bundles.volumes import Volume

from makers.deployment import DYNAMIC, FOLDER, GIVEN, REFERENCE, ROOT, TARGETS, command, policy, resolved, strings, tasks, written

TYPES = {
    "jobs": Job,
    "cluster_policies": ClusterPolicy,
    "secret_scopes": SecretScope,
    "catalogs": Catalog,
    "schemas": Schema,
    "external_locations": ExternalLocation,
    "volumes": Volume,
}
JOBS = resolved("prod")["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, some in written()["resources"].items() for name in some])
def test_a_resource_is_one_that_databricks_knows(kind, name, target):
    TYPES[kind].from_dict(resolved(target)[kind][name])


def test_the_resource_types_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="nonsense"):
        Job.from_dict({**JOBS["stream"], "nonsense": 1})
    wrong = resolved("prod")["schemas"]["serving"]
    wrong["grants"][0]["privileges"] = ["SELECTED"]
    with pytest.raises(ValueError, match="SELECTED"):
        Schema.from_dict(wrong)


def test_the_top_has_no_unknown_part():
    top = written()
    assert set(top) <= {"bundle", "include", "artifacts", "variables", "targets", "resources"}
    assert set(top["bundle"]) == {"name", "databricks_cli_version", "engine"}
    assert top["bundle"]["engine"] == "direct", "the other one refuses catalogs, external locations and policies"
    for told in top["variables"].values():
        assert set(told) <= {"description", "default", "type"}
        assert told["description"]
    for name in TARGETS:
        assert set(top["targets"][name]) <= {"mode", "default", "workspace", "run_as", "variables", "resources"}
        assert set(top["targets"][name]["variables"]) <= set(top["variables"])
    assert {name: chosen["mode"] for name, chosen in top["targets"].items()} == {
        "dev": "development",
        "staging": "production",
        "prod": "production",
    }


@pytest.mark.parametrize(("target", "status"), [("dev", "PAUSED"), ("staging", "UNPAUSED"), ("prod", "UNPAUSED")])
def test_the_stream_runs_by_itself_where_it_should(target, status):
    stream = resolved(target)["jobs"]["stream"]
    assert stream["continuous"] == {"pause_status": status}
    assert stream["max_concurrent_runs"] == 1
    assert not any("max_retries" in task or "depends_on" in task for task in stream["tasks"]), "a continuous job has neither"


def test_variables_without_a_default_are_those_that_the_readme_tells_to_set():
    told = (FOLDER / "README.md").read_text()
    free = {name for name, variable in written()["variables"].items() if "default" not in variable} - {"catalog"}  # each target sets it
    assert free == set(GIVEN)
    assert not {name for name in free if f"`{name}`" not in told}


def test_every_reference_leads_to_something_and_every_variable_is_used():
    top = written()
    named = {found for text in strings(top) for found in REFERENCE.findall(text)}
    for reference in named:
        head, *path = reference.split(".")
        if head == "var":
            assert path[0] in top["variables"], reference
        elif head == "resources":
            kind, name, field = path
            assert name in top["resources"][kind], reference
            assert field == "id" or field in top["resources"][kind][name], reference
        else:
            assert reference in {"bundle.target", "workspace.current_user.userName"}
    assert {reference for reference in named if reference.startswith("var.")} == {f"var.{name}" for name in top["variables"]}


@pytest.mark.parametrize("name", JOBS)
def test_what_a_job_takes_at_run_time_is_there(name):
    job, used, above = JOBS[name], set(), {}
    for task in job["tasks"]:
        before = [waits["task_key"] for waits in task.get("depends_on", [])]
        assert set(before) <= set(above), "a task waits for one that stands above it"
        above[task["task_key"]] = set(before).union(*(above[key] for key in before))
        for reference in (found for text in strings(task) for found in DYNAMIC.findall(text)):
            match reference.split("."):
                case ["job", "parameters", parameter]:
                    used.add(parameter)
                case ["tasks", key, "values", field]:
                    assert key in above[task["task_key"]]
                    giver = next(other for other in job["tasks"] if other["task_key"] == key)
                    assert command(giver)[0] == f"--hand-on={field}"
                    assert "--json" in command(giver)
                case _:
                    pytest.fail(reference)
    assert used == {parameter["name"] for parameter in job.get("parameters", [])}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_its_cluster_its_name_and_someone_who_is_told(name):
    job = JOBS[name]
    assert job["name"] == f"lakewarden-{name.replace('_', '-')}-prod"
    assert {task["job_cluster_key"] for task in job["tasks"]} == {one["job_cluster_key"] for one in job["job_clusters"]}
    assert job["email_notifications"]["on_failure"] == [GIVEN["on_failure"]]
    assert len({task["task_key"] for task in job["tasks"]}) == len(job["tasks"])


@pytest.mark.parametrize("name", JOBS)
def test_a_jobs_cluster_is_one_that_the_policy_allows(name):
    rules = policy("prod")
    for one in JOBS[name]["job_clusters"]:
        cluster = one["new_cluster"]
        assert cluster["policy_id"] == "${resources.cluster_policies.jobs.id}"
        assert cluster["apply_policy_default_values"] is True
        for path, value in leaves({key: cluster[key] for key in cluster if key not in {"policy_id", "apply_policy_default_values"}}):
            rule = rules[path]
            if rule["type"] == "fixed":
                assert value == rule["value"]
            else:
                assert rule["minValue"] <= value <= rule["maxValue"]


@pytest.mark.parametrize("name", JOBS)
def test_no_worker_is_taken_away_from_a_run(name):
    """Autoscaling would: with it goes its part of the state, and the run ends (decision 0024)."""
    for one in JOBS[name]["job_clusters"]:
        assert "autoscale" not in one["new_cluster"]
        assert isinstance(one["new_cluster"]["num_workers"], int)
    assert not any(path.startswith("autoscale") for path in policy("prod"))


@pytest.mark.parametrize("target", TARGETS)
def test_the_policy_speaks_of_a_clusters_own_settings(target):
    known = {field.name for field in fields(ClusterSpec)} | {"cluster_type"}
    for path, rule in policy(target).items():
        assert path.split(".")[0] in known, path
        assert rule["type"] in {"fixed", "range"}
        assert ({"value"} if rule["type"] == "fixed" else {"minValue", "maxValue"}) <= set(rule), path


def test_what_lies_outside_the_lake_lies_outside_the_cluster_too():
    """A cluster's disk goes with it: whatever the product would else keep in the user's state folder has to be named."""
    head = "spark_env_vars."
    told = {path.removeprefix(head): rule["value"] for path, rule in policy("prod").items() if path.startswith(head)}
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    assert {"LAKEWARDEN_SIGNING_KEY", "LAKEWARDEN_DATABASE_URL", "MLFLOW_TRACKING_URI"} <= set(told)
    assert not {name for name in told if not name.startswith("AZURE_") and f'"{name}"' not in source}
    assert told["LAKEWARDEN_LAKE"] == "abfss://lake@examplelake.dfs.core.windows.net/lake"


def test_spark_is_set_as_the_engine_asks():
    from lakewarden.engines.spark.session import CODE, MEANING

    assert policy("prod")["spark_conf.spark.sql.session.timeZone"]["value"] == MEANING["spark.sql.session.timeZone"]
    assert all(policy("prod")[f"spark_conf.{name}"]["value"] == value for name, value in CODE.items())


def test_secrets_are_named_and_their_scope_is_there():
    scopes = {scope["name"] for scope in resolved("prod")["secret_scopes"].values()}
    values = [str(rule.get("value", "")) for rule in policy("prod").values()]
    named = [found.split("/") for value in values for found in DYNAMIC.findall(value)]
    assert named
    assert all(kind == "secrets" and scope in scopes for kind, scope, _ in named)


@pytest.mark.parametrize(("name", "task"), tasks())
def test_a_task_runs_the_wheel_that_is_built_with_what_it_needs(name, task):
    wheel = task["python_wheel_task"]
    assert (wheel["package_name"], PROJECT["scripts"][wheel["entry_point"]]) == (PROJECT["name"], "lakewarden.cli.job:main")
    artifact = written()["artifacts"]["lakewarden"]
    assert (FOLDER / artifact["path"]).resolve() == ROOT
    assert artifact["build"].split("--out-dir ")[1] == str((FOLDER / "dist").relative_to(ROOT))
    assert [f"../{one['source']}" for one in artifact["files"]] == [library["whl"] for library in task["libraries"] if "whl" in library]
    asked = {library["pypi"]["package"] for library in task["libraries"] if "pypi" in library}
    assert asked == {*PROJECT["optional-dependencies"]["azure"], *PROJECT["optional-dependencies"]["postgres"]}


def test_jobs_that_change_production_are_started_by_administrators_only():
    for name in ("replay_swap", "replay_undo", "backfill_swap", "backfill_undo"):
        allowed = {one["group_name"] for one in JOBS[name]["permissions"] if one["level"] in {"CAN_MANAGE", "CAN_MANAGE_RUN", "IS_OWNER"}}
        assert allowed == {"lakewarden-platform-administrators"}, name
    changing = {name for name, task in tasks() if {"swap", "undo"} & set(command(task)[:2])}
    assert changing == {"replay_swap", "replay_undo", "backfill_swap", "backfill_undo"}


def test_both_proofs_are_made_and_each_decides_the_result():
    """A run's result is that of the tasks that nobody waits for."""
    job = JOBS["reconcile"]
    assert {command(task)[0] for task in job["tasks"]} == {"conserve", "verify"}
    assert not any(task.get("depends_on") for task in job["tasks"])


def leaves(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value
