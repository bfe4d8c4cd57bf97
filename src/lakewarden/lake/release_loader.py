"""From a release at rest to a release in memory: compile its parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lakewarden.contracts.compiler import compile_contract
from lakewarden.flow.features import FEATURES
from lakewarden.flow.model import ScoringModel
from lakewarden.flow.quality import check_rules
from lakewarden.flow.release import Release
from lakewarden.lake import releases
from lakewarden.rules import compliance, quality
from lakewarden.rules.references import References
from lakewarden.settings import FlowSettings

if TYPE_CHECKING:
    from lakewarden.lake.store import Store


def materialise(store: Store, release_id: str) -> Release:
    """Load a release and compile its contract, rules and model.

    Raises:
        LakeError: a part is missing or was changed.
        ConfigurationError, ContractError, ModelError: a part can't be compiled by this code.
    """
    manifest = releases.load(store, release_id)
    model = None
    if manifest.model is not None:
        model = ScoringModel.from_bytes(releases.get_blob(store, manifest.model.sha256))
        model.check_features(FEATURES)
    release = Release(
        id=release_id,
        contract=compile_contract(json.loads(releases.get_blob(store, manifest.contract))),
        dq_rules=quality.load_rules(releases.get_blob(store, manifest.dq_rules).decode()),
        compliance_rules=compliance.load_rules(releases.get_blob(store, manifest.compliance_rules).decode()),
        references=References({kind: releases.get_reference(store, digest) for kind, digest in sorted(manifest.references.items())}),
        settings=FlowSettings(**manifest.settings),
        model=model,
        features_version=manifest.features_version,
        code_version=manifest.code_version,
    )
    check_rules(release)
    return release
