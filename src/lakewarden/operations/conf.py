"""The lake's `conf/`: the files that the next release is made of, and a release's parts as such files again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from lakewarden.errors import LakeError
from lakewarden.lake import releases
from lakewarden.settings import FlowSettings

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

CONTRACT: Final = "conf/transactions.schema.json"
DQ_RULES: Final = "conf/dq_rules.yaml"
COMPLIANCE_RULES: Final = "conf/compliance_rules.yaml"
SETTINGS: Final = "conf/settings.yaml"
REFERENCES: Final = "conf/references.json"
MODEL: Final = "conf/model.json"


def required(store: Store, path: str) -> bytes:
    """The bytes of a file that must be there.

    Raises:
        LakeError: it is missing.
    """
    data = store.get(path)
    if data is None:
        raise LakeError(
            f"{store.uri(path)} is missing.",
            state="the release in force stays",
            next=f"lakewarden init --lake {store.root} (writes the defaults again)",
        )
    return data


def settings_text(settings: FlowSettings) -> str:
    """Settings as YAML, each followed by one line that says what it does."""
    lines = ["# Thresholds and tolerances of the flow; a change makes a new release."]
    for name, described in FlowSettings.model_fields.items():
        lines += [f"{name}: {json.dumps(getattr(settings, name))}", f"  # {described.description}"]
    return "\n".join(lines) + "\n"


def model_text(model: releases.ModelRef) -> bytes:
    """The file that names a model."""
    return json.dumps(model.__dict__, indent=2).encode()


def references_text(pinned: dict[str, str]) -> bytes:
    """The file that names the reference tables."""
    return json.dumps(pinned, indent=2, sort_keys=True).encode()


def files_of(store: Store, manifest: releases.Manifest) -> dict[str, bytes | None]:
    """Every file of `conf/` as a release would have it; None: there is no such file.

    Contract and rules are the very bytes that the release was made of; settings are written anew, so comments in them are the usual ones.

    Raises:
        LakeError: a part is missing or was changed.
    """
    return {
        CONTRACT: releases.get_blob(store, manifest.contract),
        DQ_RULES: releases.get_blob(store, manifest.dq_rules),
        COMPLIANCE_RULES: releases.get_blob(store, manifest.compliance_rules),
        SETTINGS: settings_text(FlowSettings(**manifest.settings)).encode(),
        REFERENCES: references_text(dict(manifest.references)),
        MODEL: model_text(manifest.model) if manifest.model else None,
    }


def parsed(path: str, data: bytes) -> Any:  # noqa: ANN401  # JSON or settings
    """What a file of values says: settings with those that it leaves out, the rest as JSON.

    Raises:
        ValueError, TypeError: it can't be read.
    """
    if path != SETTINGS:
        return json.loads(data)
    try:
        return FlowSettings(**(yaml.safe_load(data) or {})).model_dump()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
