"""The JSON Schemas that come with the package, by name and version."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from lakewarden.errors import ContractError

VERSIONS: Final = (1, 2)
"""Versions of the event contract; the last is the default of a new lake."""


def load(version: int = VERSIONS[-1]) -> dict[str, Any]:
    """The JSON Schema of events, `transactions`, in a version. Raises ContractError when there is no such version."""
    if version not in VERSIONS:
        known = ", ".join(map(str, VERSIONS))
        raise ContractError(f"the event contract has no version {version}", state="nothing was changed", next=f"use one of: {known}")
    return _read(f"transactions.v{version}.schema.json")


def load_scores() -> dict[str, Any]:
    """The JSON Schema of a score as consumers of `risk_scores_gold` may rely on it."""
    return _read("risk_scores.schema.json")


def _read(file: str) -> dict[str, Any]:
    text = (resources.files("lakewarden.contracts") / "schemas" / file).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
