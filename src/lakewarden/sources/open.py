"""From what a user names to a source."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakewarden.errors import SourceError, UsageError
from lakewarden.sources.files import FileSource, nothing_to_read
from lakewarden.sources.mapping import EventMapping, load_mapping
from lakewarden.sources.port import Clock, Source, wall_clock
from lakewarden.sources.readers import kind_of

MANIFEST = "manifest.json"
SIMULATION = "lakewarden-simulation"


def open_source(
    uri: str | Path, *, mapping: EventMapping | str | Path | None = None, once: bool = False, clock: Clock = wall_clock
) -> Source:
    """Return the source that `uri` names.

    Args:
        uri: a file or a folder (a path or `file://`); of a folder that `simulate` wrote, its events are read.
        mapping: a mapping or the path of its YAML file.
        once: read what is there and be exhausted; else keep watching.
        clock: wall clock, microseconds UTC.

    Raises:
        UsageError: a kind of source that this version doesn't have.
        SourceError: the path is missing, or a file of a kind that can't be read.
        ConfigurationError: the mapping can't be used.
    """
    loaded = load_mapping(mapping) if isinstance(mapping, str | Path) else mapping
    return FileSource(events_folder(local_path(uri)), mapping=loaded, once=once, clock=clock)


def local_path(uri: str | Path) -> Path:
    """Return the local path of a path or a `file://` URI.

    Raises:
        UsageError: it's a URI of another scheme.
        SourceError: there is nothing at the path.
    """
    text = str(uri)
    scheme, _, rest = text.partition("://")
    if rest and scheme.lower() in ("kafka", "eventhub"):
        raise UsageError(f"{text}: sources of the kind {scheme}:// are not in this version", next="give --source a file or a folder")
    if rest and scheme.lower() != "file":
        raise UsageError(f"{text}: {scheme}:// is no kind of source", next="give --source a file or a folder")
    path = Path(unquote(urlsplit(text).path)) if rest else Path(text).expanduser()
    if not path.exists():
        raise SourceError(
            f"there is nothing at {path}",
            state="nothing was read",
            next="give --source an existing file or folder, or write one: lakewarden simulate --out " + str(path),
        )
    return path


def events_folder(path: Path) -> Path:
    """Return the folder of events if `path` is one that `simulate` wrote, else `path` itself.

    Raises:
        SourceError: it's a file of a kind that can't be read.
    """
    if path.is_file():
        if kind_of(path) is None:
            raise nothing_to_read(path, [])
        return path
    return path / "events" if is_simulation(path) else path


def is_simulation(path: Path) -> bool:
    """Say whether `simulate` wrote the folder."""
    manifest = path / MANIFEST
    if not manifest.is_file() or not (path / "events").is_dir():
        return False
    try:
        content = json.loads(manifest.read_bytes())
    except (ValueError, OSError):
        return False
    return isinstance(content, dict) and content.get("kind") == SIMULATION
