"""No file of deploy/ holds a secret: what is one stands by reference."""

import re

import pytest
import yaml

from makers.deployment import DEPLOY, policy

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and "dist" not in path.parts)
LOOKS = {
    "a key of a storage account or a namespace": r"(AccountKey|SharedAccessKey|SharedAccessSignature)\s*=\s*\w",
    "a signature in an address": r"[?&]sig=\w",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token of Databricks": r"\bdapi[0-9a-f]{32}",
    "a JSON web token": r"\beyJ[\w-]{10,}\.eyJ",
    "a user and a password in an address": r"://[^/\s:@$<{]+:[^/\s@]+@",
    "a long random text": r"(?<![\w/+.-])(?=[a-zA-Z+/]*[0-9])(?=[0-9A-Z+/]*[a-z])(?=[0-9a-z+/]*[A-Z])[A-Za-z0-9+/]{40,}={0,2}(?![\w/.-])",
}
BY_NAME = re.compile(r"(secret|password|signing_?key|database_?url|access_?token|connection_?string)$", re.IGNORECASE)
REFERENCES = re.compile(r"\{\{secrets/[\w-]+/[\w-]+\}\}|keyvault:.+/[\w-]+")


def found(text):
    return [what for what, pattern in LOOKS.items() if re.search(pattern, text)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_a_file_holds_nothing_that_looks_like_a_secret(path):
    assert found(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "Endpoint=sb://n/;SharedAccessKeyName=k;SharedAccessKey=" + "a" * 20,
        "https://a.blob.core.windows.net/c?sv=1&sig=abc",
        "dapi" + "0" * 32,
        "postgresql://user:word@host/db",
        "value: " + "aB3" * 15,
        "-----BEGIN " + "PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_seen(text):
    assert found(text)


def test_what_is_named_like_a_secret_is_a_reference():
    named = {path: rule["value"] for path, rule in policy("prod").items() if BY_NAME.search(path)}
    assert {path.split(".")[1] for path in named} == {"AZURE_CLIENT_SECRET", "LAKEWARDEN_DATABASE_URL", "LAKEWARDEN_SIGNING_KEY"}
    assert all(REFERENCES.fullmatch(value) for value in named.values())


def test_no_variable_of_the_bundle_is_a_secret():
    names = set(yaml.safe_load((DEPLOY / "databricks" / "databricks.yml").read_text())["variables"])
    assert not {name for name in names if BY_NAME.search(name)}
