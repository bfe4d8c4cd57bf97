"""Which release to go back to: the last known good, by the receipts and the registry (runbook section 6.2 step 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit import chain
from lakewarden.audit.receipts import all_receipts
from lakewarden.errors import LakeError
from lakewarden.lake import releases
from lakewarden.models.registry import ARCHIVED
from lakewarden.operations.change.plan import SCORECARD
from lakewarden.tables import PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Receipt
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.store import Store
    from lakewarden.models.stages import Version

KINDS: Final = ("lake.init", "release.create", "reference.import", "model.train", "model.promote", "model.rollback")
"""Acts that put a release in force."""


@dataclass(frozen=True)
class Stint:
    """A time during which a release was in force: from the receipt that tells of its coming to the one that tells of the next."""

    release: str
    receipt: int
    kind: str
    since: str
    until: str | None


@dataclass(frozen=True)
class Decided:
    """What a release decided: rows of gold, the first and last micro-batch, and when those were committed."""

    events: int
    first_batch: int
    last_batch: int
    first_time: str
    last_time: str


@dataclass(frozen=True)
class Candidate:
    """A release that was looked at: its stint, its model's version, what it decided, and why it isn't taken (None: it could be)."""

    stint: Stint
    version: str
    decided: Decided | None
    against: str | None

    def told(self, chosen: Candidate) -> dict[str, Any]:
        """JSON-ready, beside the one that was chosen."""
        passed = "it decided nothing" if self.decided is None else "it is older than the one that is taken"
        return {
            "release": self.stint.release,
            "model_version": self.version,
            "receipt": self.stint.receipt,
            "act": self.stint.kind,
            "in_force": self.stint.since,
            "until": self.stint.until,
            "events": self.decided.events if self.decided else 0,
            "taken": self is chosen,
            "not_taken_because": None if self is chosen else self.against or passed,
        }

    @property
    def why(self) -> list[str]:
        """Why this one, in sentences."""
        stint = self.stint
        until = f"until {stint.until}" if stint.until else "to this day"
        did = (
            f"It decided {self.decided.events:,} events, in micro-batches {self.decided.first_batch} to {self.decided.last_batch}."
            if self.decided
            else "It decided nothing, and no other release that can be taken decided anything."
        )
        return [
            f"Release {stint.release} with version {self.version} was in force from {stint.since} {until} (receipt {stint.receipt}).",
            did,
            "It is the newest one before the present whose version is registered and was neither rolled back from nor archived by hand.",
        ]


def stints(receipts: Sequence[Receipt]) -> list[Stint]:
    """Which release was in force when, oldest first, as receipts tell it."""
    told: list[Receipt] = []
    for receipt in receipts:
        if receipt.kind in KINDS and receipt.releases and (not told or told[-1].releases[-1] != receipt.releases[-1]):
            told.append(receipt)
    ends = [*(receipt.time for receipt in told[1:]), None]
    return [Stint(one.releases[-1], one.number, one.kind, one.time, end) for one, end in zip(told, ends, strict=True)]


def history(store: Store) -> list[Stint]:
    """Which release was in force when, by a chain of receipts that is whole.

    Raises:
        LakeError: the chain isn't whole; what it tells can't be relied on.
    """
    found = chain.verify(store)
    if not found.ok:
        raise LakeError(
            f"The receipts can't say what was in force before: {found.findings[0].what}.",
            state="nothing was changed",
            next="lakewarden receipts verify; or name the version: lakewarden model rollback --to VERSION --reason ...",
        )
    return stints(all_receipts(store))


def decided(lake: Lakehouse) -> dict[str, Decided]:
    """What each release decided, by the run records of the micro-batches that readers see."""
    runs = (
        lake.table(PIPELINE_RUNS.name)
        .group_by("release_id")
        .agg(
            pl.col("gold").sum(),
            pl.col("batch").min().alias("first"),
            pl.col("batch").max().alias("last"),
            pl.col("committed_time").min().dt.to_string("iso:strict").alias("begun"),
            pl.col("committed_time").max().dt.to_string("iso:strict").alias("ended"),
        )
        .collect()
    )
    return {str(one): Decided(int(events), int(first), int(last), begun, ended) for one, events, first, last, begun, ended in runs.rows()}


def version_of(store: Store, release_id: str) -> str:
    """The version of a release's model, or `scorecard`."""
    model = releases.load(store, release_id).model
    return SCORECARD if model is None else model.version


def candidates(
    store: Store, known: Sequence[Stint], present: str, versions: Mapping[str, Version], by_release: Mapping[str, Decided]
) -> list[Candidate]:
    """Every release that was in force with another model than the present one, newest first, each once.

    Args:
        known: stints, oldest first.
        present: the version in production, or `scorecard`.
        versions: what the registry has.
        by_release: what each decided.
    """
    found: dict[str, Candidate] = {}
    for stint in reversed(known):
        version = version_of(store, stint.release)
        if version != present and stint.release not in found:
            against = _against(version, versions.get(version))
            found[stint.release] = Candidate(stint, version, by_release.get(stint.release), against)
    return list(found.values())


def last_known_good(found: Sequence[Candidate]) -> Candidate:
    """The newest candidate that decided something; or else the newest that was in force.

    Raises:
        LakeError: there is none; says which were considered and why they were not taken.
    """
    possible = [one for one in found if one.against is None]
    chosen = next((one for one in possible if one.decided is not None and one.decided.events), None)
    if chosen is not None or possible:
        return chosen or possible[0]
    looked = "; ".join(f"{one.stint.release} (version {one.version}): {one.against}" for one in found[:5])
    to = "scorecard" if any(one.version == SCORECARD for one in found) else "VERSION"
    raise LakeError(
        f"There is no last known good release. Considered: {looked or 'none, as no other model was ever in force'}.",
        state="nothing was changed; the release in force stays",
        next=f"lakewarden model list; then lakewarden model rollback --to {to} --reason ...",
    )


def release_of(store: Store, version: str, known: Sequence[Stint], by_release: Mapping[str, Decided]) -> str | None:
    """The newest release with a version: the last in force that decided something, the last in force, the last made; None: in none."""
    stood = [stint.release for stint in reversed(known) if version_of(store, stint.release) == version]
    chosen = next((release_id for release_id in stood if release_id in by_release and by_release[release_id].events), None)
    if chosen is not None or stood:
        return chosen or stood[0]
    made = (release_id for release_id, _ in reversed(releases.list_ids(store)))
    return next((release_id for release_id in made if version_of(store, release_id) == version), None)


def _against(version: str, registered: Version | None) -> str | None:
    if version == SCORECARD:
        return "it has no model; name it, if that is wanted: --to scorecard"
    if registered is None:
        return f"version {version} isn't in the registry"
    if registered.rolled_back_from is not None:
        return f"version {version} was rolled back from ({registered.rolled_back_from})"
    if registered.stage == ARCHIVED and registered.superseded_by is None:
        return f"version {version} was archived by hand"
    return None
