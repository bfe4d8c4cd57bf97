"""Reference data into the lake: import, screen, pin in a release."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakewarden.lake import releases
from lakewarden.operations import conf, release, restoring
from lakewarden.operations.status import Report
from lakewarden.rules.references import References
from lakewarden.rules.screening import rescreen
from lakewarden.sources.reference_files import read_references

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

SCREENED: Final = {"kyc", "counterparties", "watchlist"}
"""A change of one of these screens all names again."""


def pinned(store: Store) -> References:
    """The reference tables that `conf/references.json` names now."""
    digests = json.loads(store.get(conf.REFERENCES) or b"{}")
    return References({kind: releases.get_reference(store, digest) for kind, digest in digests.items()})


def import_path(store: Store, path: Path, kind: str | None, now: datetime) -> Report:
    """Import a file or a folder of them, screen names where that is due, make a release.

    Raises:
        ConfigurationError: a file can't be used; the reference data stays as it was.
        SourceError: there is no such file.
    """
    restoring.finish(store)
    before = pinned(store)
    new = read_references(path, kind)
    after = before
    for name, table in new.items():
        after = after.updated(name, table)
    changed = set(new)
    if changed & SCREENED and after.get("watchlist") is not None:
        after = rescreen(after)
        changed.add("watchlist_hits")
    digests = {name: releases.put_reference(store, after.tables[name]) for name in sorted(changed)}
    release.set_references(store, digests)
    made = release.create(store, now)
    imported = [{"kind": name, "rows": after.tables[name].height, "version": digests[name][:12]} for name in sorted(changed)]
    return Report({"id": made.id, "new": made.new, "rows": sum(t.height for t in new.values()), "imported": imported})


def listed(store: Store) -> Report:
    """Kind, version and rows of each reference table of the release in force."""
    tables = pinned(store)
    fingerprints = tables.fingerprints()
    rows = [{"kind": kind, "rows": table.height, "version": fingerprints[kind][:12]} for kind, table in tables.tables.items()]
    return Report({"id": releases.current_id(store), "rows": sum(int(str(r["rows"])) for r in rows), "references": rows})
