"""Who may see and do what: each of the platform's roles, and no more than its classes of data."""

import pytest

from makers.deployment import resolved, written

VARIABLES = ("administrators", "operators", "analysts", "readers", "model_owners")
ROLES = {name: written()["variables"][name]["default"] for name in VARIABLES}
RESOURCES = resolved("prod")


def granted(kind, name):
    """What each principal may do with a resource; the identity of the jobs under its variable's name."""
    people = {group: role for role, group in ROLES.items()}
    return {people.get(one["principal"], "jobs"): set(one["privileges"]) for one in RESOURCES[kind][name]["grants"]}


def test_the_roles_are_the_platforms_five():
    assert len(set(ROLES.values())) == len(VARIABLES) == 5


def test_every_role_enters_the_catalog_and_only_administrators_may_do_more():
    told = granted("catalogs", "lakewarden")
    assert set(told) == {*VARIABLES, "jobs"}
    assert told.pop("administrators") == {"ALL_PRIVILEGES"}
    assert set(map(frozenset, told.values())) == {frozenset({"USE_CATALOG"})}


@pytest.mark.parametrize(
    ("schema", "readers"),
    [
        ("raw", {"operators"}),
        ("core", {"operators", "analysts", "model_owners"}),
        ("serving", {"operators", "analysts", "model_owners", "readers"}),
    ],
)
def test_a_schema_is_read_by_those_whose_class_of_data_it_holds(schema, readers):
    told = granted("schemas", schema)
    assert told.pop("administrators") == {"ALL_PRIVILEGES"}
    assert told == {role: {"USE_SCHEMA", "SELECT"} for role in readers}


@pytest.mark.parametrize("kind", ["schemas", "volumes", "external_locations"])
def test_only_the_jobs_write_the_lake(kind):
    writing = {"MODIFY", "WRITE_FILES", "CREATE_TABLE", "WRITE_VOLUME", "ALL_PRIVILEGES"}
    for name in RESOURCES[kind]:
        writers = {who for who, privileges in granted(kind, name).items() if privileges & writing}
        if kind == "external_locations":
            assert writers == ({"jobs"} if name == "lake" else set())
        elif name in {"evidence", "receipts"}:
            assert writers == set(), "evidence and receipts are read, whoever it is"
        else:
            assert writers <= {"administrators", "jobs", "operators"}
            assert "operators" not in writers or name == "landing"


@pytest.mark.parametrize("volume", ["evidence", "receipts"])
def test_evidence_is_read_by_those_who_answer_for_it(volume):
    assert granted("volumes", volume) == {role: {"READ_VOLUME"} for role in ("administrators", "operators", "analysts", "model_owners")}


def test_who_enters_a_volume_may_enter_its_schema():
    enters = {who for who, got in granted("schemas", "files").items() if got & {"USE_SCHEMA", "ALL_PRIVILEGES"}}
    assert {who for name in RESOURCES["volumes"] for who in granted("volumes", name)} <= enters


def test_what_lies_in_volumes_and_tables_does_not_overlap():
    """Unity Catalog refuses a volume and a table of which one lies in the other."""
    from lakewarden.tables import TABLES

    lake = "${resources.external_locations.lake.url}lake/"
    inside = [
        one["storage_location"].removeprefix(lake) for one in RESOURCES["volumes"].values() if one["storage_location"].startswith(lake)
    ]
    assert inside
    assert all(name.startswith("_") and "/" not in name for name in inside)
    assert not set(inside) & set(TABLES)


@pytest.mark.parametrize("name", RESOURCES["jobs"])
def test_a_jobs_permissions_are_of_roles_and_administrators_manage_it(name):
    told = {one["group_name"]: one["level"] for one in RESOURCES["jobs"][name]["permissions"]}
    assert set(told) <= set(ROLES.values())
    assert told[ROLES["administrators"]] == "CAN_MANAGE"
    assert list(told.values()).count("CAN_MANAGE") == 1
    assert ROLES["readers"] not in told


def test_models_are_trained_by_those_who_own_them():
    told = {one["group_name"]: one["level"] for one in RESOURCES["jobs"]["train"]["permissions"]}
    assert {group for group, level in told.items() if level == "CAN_MANAGE_RUN"} == {ROLES["model_owners"]}


@pytest.mark.parametrize("target", ["staging", "prod"])
def test_the_jobs_identity_may_use_the_policy_and_read_the_secrets(target):
    for kind, name, level in (("cluster_policies", "jobs", "CAN_USE"), ("secret_scopes", "lakewarden", "READ")):
        told = resolved(target)[kind][name]["permissions"]
        who = written()["targets"][target]["run_as"]["service_principal_name"]
        assert who == "${var.identity}"
        assert [one["level"] for one in told if "service_principal_name" in one] == [level]
