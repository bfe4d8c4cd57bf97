"""`deploy/databricks` as a target sees it: files joined, the target's part laid over, variables put in."""

import copy
import functools
import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "databricks"
TARGETS = ("dev", "staging", "prod")
REFERENCE = re.compile(r"\$\{([^}]*)\}")
DYNAMIC = re.compile(r"\{\{([^}]*)\}\}")

GIVEN = {
    "storage_account": "examplelake",
    "client_id": "00000000-0000-0000-0000-000000000001",
    "tenant_id": "00000000-0000-0000-0000-000000000002",
    "eventhub_namespace": "example-events",
    "key_vault": "example-vault",
    "key_vault_id": "/subscriptions/0/resourceGroups/example/providers/Microsoft.KeyVault/vaults/example-vault",
    "mlflow_tracking_uri": "https://mlflow.example.com",
    "on_failure": "operators@example.com",
}
"""What whoever deploys sets: the variables that have no default."""


def written() -> dict:
    """The bundle as it is written, its included files joined in."""
    return copy.deepcopy(_written())


@functools.cache
def _written() -> dict:
    top = yaml.safe_load((FOLDER / "databricks.yml").read_text())
    for pattern in top["include"]:
        for path in sorted(FOLDER.glob(pattern)):
            top = laid_over(top, yaml.safe_load(path.read_text()))
    return top


def laid_over(below, above):
    """Two parts of a bundle as one: maps are joined, lists one behind the other, else the upper one holds."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: laid_over(below[key], above[key]) if key in below and key in above else {**below, **above}[key] for key in below | above
        }
    return below + above if isinstance(below, list) and isinstance(above, list) else above


def resolved(target: str) -> dict:
    """The resources of a target, everything put in but the ids and names of other resources."""
    return copy.deepcopy(_resolved(target))


@functools.cache
def _resolved(target: str) -> dict:
    top = written()
    chosen = top["targets"][target]
    known = {name: told["default"] for name, told in top["variables"].items() if "default" in told} | GIVEN | chosen.get("variables", {})
    fixed = {f"var.{name}": value for name, value in known.items()}
    fixed |= {"bundle.target": target, "workspace.current_user.userName": "deployer@example.com"}

    def put_in(value):
        if isinstance(value, dict):
            return {key: put_in(item) for key, item in value.items()}
        if isinstance(value, list):
            return [put_in(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = REFERENCE.fullmatch(value)
        if whole and whole[1] in fixed:
            return put_in(fixed[whole[1]])
        return REFERENCE.sub(lambda found: str(put_in(fixed[found[1]])) if found[1] in fixed else found[0], value)

    return put_in(laid_over(top["resources"], chosen.get("resources", {})))


def strings(value):
    """Every text in it."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def policy(target: str) -> dict:
    """The definition of the policy that the jobs' clusters are under."""
    return json.loads(resolved(target)["cluster_policies"]["jobs"]["definition"])


def tasks() -> list[tuple[str, dict]]:
    """Every task of every job, as prod has it, with its job's name."""
    return [(name, task) for name, job in resolved("prod")["jobs"].items() for task in job["tasks"]]


def command(task: dict) -> list[str]:
    """The arguments that a task's entry point gets."""
    return task["python_wheel_task"]["parameters"]
