"""Contacts (runbook section 10): roles, who holds them, and which of them owns an incident of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakewarden.errors import ConfigurationError

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

PATH: Final = "conf/contacts.yaml"


class Contact(BaseModel):
    """One role: what it is, who holds it, how to reach them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(min_length=1)
    name: str = ""
    reach: str = ""


class Contacts(BaseModel):
    """All roles by name, and the owner of each kind of incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    contacts: Mapping[str, Contact]
    incidents: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _owners_are_contacts(self) -> Self:
        for code, owner in self.incidents.items():
            if owner not in self.contacts:
                raise ValueError(f"incidents: {code} is owned by {owner!r}, which is none of the contacts")
        return self


def default() -> bytes:
    """The contacts that a new lake begins with: the runbook's roles, without names."""
    return (resources.files("lakewarden") / "conf" / "contacts.yaml").read_bytes()


def load(store: Store) -> Contacts:
    """The contacts in the lake's `conf/`; the default ones where the file is missing.

    Raises:
        ConfigurationError: the file can't be used.
    """
    data = store.get(PATH)
    try:
        return Contacts.model_validate(yaml.safe_load(data if data is not None else default()))
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{store.uri(PATH)} can't be used: {' '.join(str(error).split())[:400]}", state="nothing was done", next="correct the file"
        ) from error
