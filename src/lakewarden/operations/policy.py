"""What operators agreed on how operations are done: `conf/operations.yaml`. No part of a release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from lakewarden.errors import ConfigurationError
from lakewarden.settings import OperationSettings

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

PATH: Final = "conf/operations.yaml"


def load(store: Store) -> OperationSettings:
    """The settings of a lake; the defaults where the file isn't there.

    Raises:
        ConfigurationError: the file can't be used.
    """
    data = store.get(PATH)
    try:
        return OperationSettings(**((yaml.safe_load(data) if data else None) or {}))
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise ConfigurationError(
            f"{store.uri(PATH)} can't be used: {' '.join(str(error).split())[:400]}", state="nothing was done", next="correct the file"
        ) from error


def default() -> bytes:
    """The file as a new lake gets it: every setting with its default, and one line on what it does."""
    lines = ["# How operations are done here. Read by each command; no part of a release."]
    for name, described in OperationSettings.model_fields.items():
        given = getattr(OperationSettings(), name)
        if not isinstance(given, BaseModel):
            lines += [f"{name}: {json.dumps(given)}", f"  # {described.description}"]
            continue
        lines += [f"{name}:"]
        for part, told in type(given).model_fields.items():
            lines += [f"  {part}: {json.dumps(_plain(getattr(given, part)))}", f"    # {told.description}"]
    return ("\n".join(lines) + "\n").encode()


def _plain(value: Any) -> Any:  # noqa: ANN401  # any setting
    return round(value, 9) if isinstance(value, float) else value
