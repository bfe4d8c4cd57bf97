"""A former release comes back whole: contract, rules, references, settings and model in one step (docs/adr/0017).

A release is composed of six files, and a running stream composes one whenever they change. Written one after the other they would give
mixtures. So a restoration is a note first, `_releases/restoring.json`, that says which release is to be restored. Whoever composes looks
at the note, before and after: one that is begun is finished first, one that came or went meanwhile means to read again. The note stays when
it is done with, as a number would: so a whole restoration between two looks shows as well.

A killed process leaves a note that is begun; the next one who composes finishes it, be it the stream within a second or any command.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeError
from lakewarden.lake import releases
from lakewarden.operations import conf

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

BEGUN: Final = "begun"
RESTORED: Final = "restored"
SETTLED: Final = "settled"
"""States of a note: files are to be written; they are written; the release was put in force."""


@dataclass(frozen=True)
class Marker:
    """Which change restores which release, and how far that is."""

    change: str
    release: str
    state: str = BEGUN

    def due(self, store: Store, manifest: releases.Manifest) -> bool:
        """Whether a release that comes into force now does so by this restoration; another version of the code may compose it."""
        return self.state == RESTORED and releases.load(store, self.release).parts == manifest.parts


def read(store: Store) -> Marker | None:
    """The newest restoration, None before the first.

    Raises:
        LakeError: the note can't be read.
    """
    data = store.get(releases.RESTORING)
    if data is None:
        return None
    try:
        return Marker(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"{store.uri(releases.RESTORING)} is damaged: {error}",
            state="the release in force stays",
            next="check the files in conf/, then remove that object; lakewarden release create",
        ) from error


def begin(store: Store, change: str, release_id: str) -> Marker:
    """Note that a release is to be restored; from here on nobody composes anything else. The release's manifest is stored already."""
    marker = Marker(change, release_id)
    _note(store, marker)
    return marker


def finish(store: Store) -> Marker | None:
    """Write the files of a restoration that is begun; gives the newest one as it stands then. Doing it again changes nothing.

    Raises:
        LakeError: a part of the release is missing or was changed; the note stays.
    """
    marker = read(store)
    if marker is None or marker.state != BEGUN:
        return marker
    for path, wanted in conf.files_of(store, releases.load(store, marker.release)).items():
        if read(store) != marker:  # somebody else finished it, and what stands in conf/ since is not ours to write over
            return read(store)
        _write(store, path, wanted)
    restored = replace(marker, state=RESTORED)
    if read(store) == marker:
        _note(store, restored)
    return read(store)


def settle(store: Store) -> None:
    """The restored release is in force: what comes into force later doesn't belong to this restoration."""
    marker = read(store)
    if marker is not None and marker.state == RESTORED:
        _note(store, replace(marker, state=SETTLED))


def edits(store: Store, manifest: releases.Manifest) -> dict[str, bytes]:
    """Files of `conf/` that differ from a release, with their bytes; settings are compared by value."""
    found = {}
    for path, wanted in conf.files_of(store, manifest).items():
        data = store.get(path)
        if data is not None and not _same(path, data, wanted):
            found[path] = data
    return found


def _write(store: Store, path: str, wanted: bytes | None) -> None:
    data = store.get(path)
    if wanted is None:
        if data is not None:
            store.delete([path])
    elif data is None or not _same(path, data, wanted):
        store.put(path, wanted)


def _same(path: str, data: bytes, wanted: bytes | None) -> bool:
    """Whether two files say the same: JSON and settings by value, contract and rules byte by byte, as a release pins them."""
    if wanted is None or data == wanted:
        return data == wanted
    if path not in (conf.SETTINGS, conf.REFERENCES, conf.MODEL):
        return False
    try:
        return bool(conf.parsed(path, data) == conf.parsed(path, wanted))
    except (ValueError, TypeError):
        return False


def _note(store: Store, marker: Marker) -> None:
    store.put(releases.RESTORING, json.dumps(asdict(marker)).encode())
