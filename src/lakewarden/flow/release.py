"""A release in memory: the pinned versions of everything that turns an event into a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakewarden.contracts.compiler import CompiledContract
    from lakewarden.flow.model import ScoringModel
    from lakewarden.rules.compliance import ComplianceRule
    from lakewarden.rules.quality import QualityRule
    from lakewarden.rules.references import References
    from lakewarden.settings import FlowSettings


@dataclass(frozen=True)
class Release:
    """Contract, rules, reference data, thresholds, feature definition, model and code under one id.

    Immutable and content-addressed: two releases with the same content have the same `id`.
    `model` is None until one is registered; the compliance rules' points then make the score.
    """

    id: str
    contract: CompiledContract
    dq_rules: tuple[QualityRule, ...]
    compliance_rules: tuple[ComplianceRule, ...]
    references: References
    settings: FlowSettings
    model: ScoringModel | None
    features_version: str
    code_version: str
