"""The Bicep modules: they parse, fit each other, the bundle and the pipelines, and keep what the platform asks for."""

import re

import pytest
from pycep import BicepParser

from makers.deployment import DEPLOY, command, resolved

FOLDER = DEPLOY / "azure"
TEXTS = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.bicep"))}
PARSED = {name: BicepParser().parse(text=text) for name, text in TEXTS.items()}
MAIN = PARSED["main.bicep"]
PEAK, KIB_AN_EVENT, YEARS = 1200, 1, 7


def of_type(name, kind):
    """The settings of a module's resources of one type; of a loop, those of each turn."""
    found = [one["config"] for one in PARSED[name]["resources"].values() if one["type"] == kind and not one["existing"]]
    return [one["config"] if "loop_type" in one else one for one in found]


def only(name, kind):
    (one,) = of_type(name, kind)
    return one


def declared(name):
    return PARSED[name].get("parameters", {})


def needed(name):
    return {parameter for parameter, told in declared(name).items() if told["default"] is None}


@pytest.mark.parametrize("name", TEXTS)
def test_a_module_says_how_it_was_checked_and_is_short(name):
    assert TEXTS[name].startswith("// Not deployed from here, and there is no Bicep compiler here: ")
    assert len(TEXTS[name].splitlines()) < 250


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_module_declares_is_described_and_used(name):
    code = re.sub(r"(?m)//.*$|^@description.*$", "", TEXTS[name])
    for parameter, told in declared(name).items():
        assert any(one["type"] == "description" for one in told["decorators"]), parameter
        assert len(re.findall(rf"\b{parameter}\b", code)) > 1, f"{parameter} is used nowhere"
    for variable in PARSED[name].get("variables", {}):
        assert len(re.findall(rf"\b{variable}\b", code)) > 1, f"{variable} is used nowhere"


def test_a_module_gets_what_it_asks_for_and_nothing_else():
    assert {one["detail"]["path"] for one in MAIN["modules"].values()} == set(TEXTS) - {"main.bicep"}
    for name, one in MAIN["modules"].items():
        file, given = one["detail"]["path"], set(one["config"]["params"])
        assert needed(file) <= given, name
        assert given <= set(declared(file)), name


def test_every_output_that_is_read_is_there_and_every_one_is_read():
    files = {name: one["detail"]["path"] for name, one in MAIN["modules"].items()}
    read = set(re.findall(r"\b(\w+)\.outputs\.(\w+)", TEXTS["main.bicep"]))
    assert read == {(name, output) for name, file in files.items() for output in PARSED[file].get("outputs", {})}


def test_nothing_is_looped_over_that_is_known_only_later():
    """Bicep wants the length of a loop when a deployment begins: parameters of a module are known then, outputs of another aren't."""
    assert "for " not in re.sub(r"(?m)//.*$|'[^']*'", "", TEXTS["main.bicep"])


def test_the_example_gives_what_the_whole_asks_for():
    text = (FOLDER / "example.bicepparam").read_text()
    given = set(re.findall(r"(?m)^param (\w+) = ", text))
    assert "using './main.bicep'" in text
    assert needed("main.bicep") <= given <= set(declared("main.bicep"))


def test_containers_are_those_that_the_bundle_names():
    listed = re.search(r"for container in \[([^]]*)\]", TEXTS["storage.bicep"])[1]
    containers = set(re.findall(r"'(\w+)'", listed))
    bundle = resolved("prod")
    named = {one["url"] for one in bundle["external_locations"].values()} | {one["storage_root"] for one in bundle["catalogs"].values()}
    assert containers == {re.match(r"abfss://(\w+)@examplelake\.", url)[1] for url in named}


def test_the_topic_and_its_group_are_those_that_the_stream_reads():
    topic = only("eventhubs.bicep", "Microsoft.EventHub/namespaces/eventhubs")
    source = next(text for text in command(resolved("prod")["jobs"]["stream"]["tasks"][0]) if text.startswith("--source="))
    _, name, group = re.fullmatch(r"--source=eventhub://([^/]+)/([\w-]+)\?group=([\w-]+)", source).groups()
    assert topic["name"] == name
    assert f"'{group}'" in re.search(r"for name in \[([^]]*)\]", TEXTS["eventhubs.bicep"])[1]


@pytest.mark.parametrize("file", ["README.md", "../databricks/README.md", "../databricks/databricks.yml", "../adf/links.json"])
def test_outputs_and_modules_that_others_speak_of_are_there(file):
    text = (FOLDER / file).read_text()
    assert set(re.findall(r"output (\w+) of deploy/azure", text)) <= set(MAIN["outputs"])
    assert set(re.findall(r"(\w+\.bicep)\b", text)) <= set(TEXTS)


def test_the_topic_holds_twice_the_peak_and_is_read_again_for_days():
    namespace = only("eventhubs.bicep", "Microsoft.EventHub/namespaces")
    topic = only("eventhubs.bicep", "Microsoft.EventHub/namespaces/eventhubs")["properties"]
    units, most = (declared("eventhubs.bicep")[name]["default"] for name in ("units", "mostUnits"))
    assert namespace["sku"]["capacity"] == "units"
    assert units * 1000 >= 2 * PEAK
    assert units * 1024 >= 2 * PEAK * KIB_AN_EVENT
    assert most > units
    assert namespace["properties"]["isAutoInflateEnabled"] is True
    assert topic["partitionCount"] == "partitions"
    assert declared("eventhubs.bicep")["partitions"]["default"] == 16
    assert topic["retentionDescription"]["retentionTimeInHours"] == 7 * 24
    assert "captureDescription" not in topic


def test_the_account_is_copied_to_another_region_and_what_is_deleted_can_be_brought_back():
    account = only("storage.bicep", "Microsoft.Storage/storageAccounts")
    assert account["sku"]["name"] == "Standard_RAGZRS"
    assert account["properties"]["isHnsEnabled"] is True
    blobs = only("storage.bicep", "Microsoft.Storage/storageAccounts/blobServices")["properties"]
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        assert blobs[policy] == {"enabled": True, "days": "softDeleteDays"}


def test_regulatory_snapshots_are_kept_for_seven_years():
    policy = only("storage.bicep", "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies")
    days = declared("storage.bicep")["snapshotDays"]
    assert policy["parent"] == "regulatory"
    assert policy["properties"]["immutabilityPeriodSinceCreationInDays"] == "snapshotDays"
    least = next(one["argument"] for one in days["decorators"] if one["type"] == "min_value")
    assert days["default"] >= least >= YEARS * 365 + 2
    rules = only("storage.bicep", "Microsoft.Storage/storageAccounts/managementPolicies")["properties"]["policy"]["rules"]
    deleting = [rule["definition"]["filters"]["prefixMatch"] for rule in rules if "delete" in str(rule["definition"]["actions"])]
    assert deleting == [["logs/"]]


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        (
            "storage.bicep",
            "Microsoft.Storage/storageAccounts",
            {
                "publicNetworkAccess": "Disabled",
                "allowSharedKeyAccess": False,
                "allowBlobPublicAccess": False,
                "minimumTlsVersion": "TLS1_2",
            },
        ),
        (
            "eventhubs.bicep",
            "Microsoft.EventHub/namespaces",
            {"publicNetworkAccess": "Disabled", "disableLocalAuth": True, "minimumTlsVersion": "1.2", "kafkaEnabled": True},
        ),
        (
            "keyvault.bicep",
            "Microsoft.KeyVault/vaults",
            {"publicNetworkAccess": "Disabled", "enableRbacAuthorization": True, "enablePurgeProtection": True, "enableSoftDelete": True},
        ),
        ("datafactory.bicep", "Microsoft.DataFactory/factories", {"publicNetworkAccess": "Disabled"}),
        ("databricks.bicep", "Microsoft.Databricks/workspaces", {"publicNetworkAccess": "publicAccess"}),
    ],
)
def test_a_service_is_closed_to_the_outside(name, kind, settings):
    told = only(name, kind)["properties"]
    assert {key: told.get(key) for key in settings} == settings
    if "networkAcls" in told:
        assert told["networkAcls"]["defaultAction"] == "Deny"


def test_clusters_are_in_our_network_without_public_addresses():
    told = only("databricks.bicep", "Microsoft.Databricks/workspaces")["properties"]["parameters"]
    assert told["enableNoPublicIp"]["value"] is True
    assert told["customVirtualNetworkId"]["value"] == "networkId"
    assert declared("databricks.bicep")["publicAccess"]["default"] == "Disabled"
    subnets = only("network.bicep", "Microsoft.Network/virtualNetworks")["properties"]["subnets"]
    delegated = {one["name"] for one in subnets if "delegations" in one["properties"]}
    outputs = PARSED["network.bicep"]["outputs"]
    assert delegated == {outputs["publicSubnet"]["value"], outputs["privateSubnet"]["value"]}
    assert all("networkSecurityGroup" in one["properties"] for one in subnets)


@pytest.mark.parametrize("name", ["storage.bicep", "eventhubs.bicep", "keyvault.bicep", "databricks.bicep", "datafactory.bicep"])
def test_a_service_tells_what_is_done_with_it(name):
    told = only(name, "Microsoft.Insights/diagnosticSettings")
    assert told["scope"] in PARSED[name]["resources"]
    assert told["properties"]["workspaceId"] == "workspaceId"
    assert all(one["enabled"] for one in told["properties"]["logs"])
    given = {one["detail"]["path"]: one["config"]["params"] for one in MAIN["modules"].values()}[name]
    assert "workspaceId" in str(given["workspaceId"])
    assert "monitoring" in str(given["workspaceId"])


ZONES = {
    "blob": ("storageId", "blob"),
    "dfs": ("storageId", "dfs"),
    "namespace": ("namespaceId", "servicebus"),
    "vault": ("vaultId", "vaultcore"),
    "databricks_ui_api": ("databricksId", "azuredatabricks"),
    "browser_authentication": ("databricksId", "azuredatabricks"),
}


def test_every_service_has_a_private_endpoint_with_its_name_in_the_zone_of_its_kind():
    ways = {one["group"]: one for one in PARSED["endpoints.bicep"]["variables"]["ways"]["value"]}
    zones = re.findall(r"'privatelink\.(\w+)\.", TEXTS["dns.bicep"])
    placed = {name: zones[int(at)] for name, at in re.findall(r"output (\w+) string = zone\[(\d+)\]\.id", TEXTS["dns.bicep"])}
    given = dict(re.findall(r"(\w+ZoneId): dns\.outputs\.(\w+)", TEXTS["main.bicep"]))
    assert {group: (way["target"], placed[given[way["zone"]]]) for group, way in ways.items()} == ZONES


ROLES = {
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Azure Event Hubs Data Receiver": "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
}


ASSIGNMENT = re.compile(
    r"roleAssignments@[\d-]+' = \{\n  name: guid\((.*?)\)\n  scope: ([\w:]+).*?principalId: (\w+).*?, role\.(\w+)\)", re.DOTALL
)


def test_each_identity_has_the_roles_that_it_needs_where_it_needs_them():
    role = PARSED["roles.bicep"]["variables"]["role"]["value"]
    names = {key: next(name for name, id_ in ROLES.items() if id_ == value) for key, value in role.items()}
    blocks = ASSIGNMENT.findall(TEXTS["roles.bicep"])
    assert len(blocks) == len(of_type("roles.bicep", "Microsoft.Authorization/roleAssignments"))
    for seed, scope, who, kind in blocks:
        assert seed == f"{scope}.id, {who}, role.{kind}", "the name of an assignment is made of what it assigns"
    assert {(who, names[kind], scope) for _, scope, who, kind in blocks} == {
        ("jobsPrincipal", "Storage Blob Data Contributor", "account::blobs::lake"),
        ("jobsPrincipal", "Azure Event Hubs Data Receiver", "namespace::hub"),
        ("jobsPrincipal", "Key Vault Secrets User", "vault"),
        ("databricksApplication", "Key Vault Secrets User", "vault"),
        ("connectorPrincipal", "Storage Blob Data Contributor", "account"),
        ("factoryPrincipal", "Storage Blob Data Contributor", "account::blobs::landing"),
        ("factoryPrincipal", "Contributor", "workspace"),
    }


def test_operators_are_told_of_what_fails():
    watched = PARSED["alerts.bicep"]["variables"]["watched"]["value"]
    assert {one["metric"] for one in watched} == {"ThrottledRequests", "ServerErrors", "PipelineFailedRuns"}
    assert only("alerts.bicep", "Microsoft.Insights/metricAlerts")["properties"]["actions"] == [{"actionGroupId": "operatorsId"}]
