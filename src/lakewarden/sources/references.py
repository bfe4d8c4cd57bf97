"""Secrets by reference: configuration names where a secret is, never the secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from lakewarden.errors import ConfigurationError

SCHEMES: Final = ("env:", "file:", "keyvault:")
FORMS: Final = "env:NAME, file:PATH or keyvault:VAULT/SECRET"


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference."""
    return text.startswith(SCHEMES)


def resolve(reference: str) -> str:
    """The secret that a reference names. It must not be logged, printed or stored.

    Args:
        reference: `env:NAME` (a variable), `file:PATH` (a file's text) or `keyvault:VAULT/SECRET` (Azure Key Vault, by azure-identity).

    Raises:
        ConfigurationError: the reference has another form, or names nothing; the message holds the reference, never a secret.
    """
    kind, _, name = reference.partition(":")
    if not is_reference(reference) or not name:
        raise ConfigurationError("what stands where a secret is to be named is no reference", next=f"write it as {FORMS}")
    found = {"env": _variable, "file": _file, "keyvault": _vault}[kind](name)
    if not found:
        raise ConfigurationError(f"{reference} names nothing", state="nothing was read", next=f"set it, or name another: {FORMS}")
    return found


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _file(name: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it isn't text"
        raise ConfigurationError(f"file:{name} can't be read: {why}", next="check the path and its permissions") from error


def _vault(name: str) -> str:
    vault, _, secret = name.partition("/")
    if not vault or not secret:
        raise ConfigurationError(f"keyvault:{name} names no secret", next="write it as keyvault:VAULT/SECRET")
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError as error:
        raise ConfigurationError(f"keyvault:{name} needs the Azure libraries", next="pip install 'lakewarden[azure]'") from error
    url = vault if "://" in vault else f"https://{vault}.vault.azure.net"
    try:
        with DefaultAzureCredential() as credential, SecretClient(url, credential) as client:
            return client.get_secret(secret).value or ""
    except AzureError as error:
        why = str(error).strip().split("\n")[0][:200]
        advice = "sign in (az login) or give the identity the right to read it"
        raise ConfigurationError(f"keyvault:{name} can't be read: {why}", next=advice) from error
