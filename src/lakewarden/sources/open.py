"""From what a user names to a source."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakewarden.errors import SourceError, UsageError
from lakewarden.sources.files import FileSource, nothing_to_read
from lakewarden.sources.kafka.address import is_topic, parse_address, parse_start
from lakewarden.sources.mapping import EventMapping, load_mapping
from lakewarden.sources.port import Clock, Source, wall_clock
from lakewarden.sources.readers import kind_of

Sink = Callable[[list[tuple[bytes, bytes]]], None]
"""Takes events in order: (account id, body) of each."""

MANIFEST = "manifest.json"
SIMULATION = "lakewarden-simulation"


def open_source(
    uri: str | Path,
    *,
    mapping: EventMapping | str | Path | None = None,
    once: bool = False,
    start: str | None = None,
    config: str | Path | None = None,
    clock: Clock = wall_clock,
    topic: Callable[..., Source] | None = None,
) -> Source:
    """Return the source that `uri` names.

    Args:
        uri: a file or a folder (a path or `file://`; of a folder that `simulate` wrote, its events are read), or a topic
            (`kafka://host:port/topic`, `eventhub://namespace/topic`).
        mapping: a mapping or the path of its YAML file.
        once: read what is there and be exhausted; else keep watching.
        start: of a topic: where to begin if nothing was ever taken of it.
        config: of a topic: a YAML file of librdkafka properties, secrets by reference.
        clock: wall clock, microseconds UTC.
        topic: makes the source of a topic, in place of `KafkaSource`.

    Raises:
        UsageError: a kind of source that this version doesn't have.
        SourceError: the path is missing, or a file of a kind that can't be read.
        ConfigurationError: the mapping can't be used.
    """
    loaded = load_mapping(mapping) if isinstance(mapping, str | Path) else mapping
    if is_topic(str(uri)):
        from lakewarden.sources.kafka.connection import load_config  # librdkafka loads only where it is used
        from lakewarden.sources.kafka.source import KafkaSource

        begin = None if start is None else parse_start(start)
        make = topic or KafkaSource
        return make(address=parse_address(str(uri)), config=load_config(config), mapping=loaded, start=begin, once=once, clock=clock)
    if start is not None or config is not None:
        raise UsageError("--start and --source-config are for topics", next="leave them out, or give a kafka:// or eventhub:// source")
    return FileSource(events_folder(local_path(uri)), mapping=loaded, once=once, clock=clock)


def open_sink(uri: str, *, config: str | Path | None = None) -> AbstractContextManager[Sink | None]:
    """Return what takes events for the topic that `uri` names, None for a folder; leaving it waits until the broker has all.

    Raises:
        UsageError: the topic's address isn't complete.
        ConfigurationError: the configuration can't be used.
        SourceError: the broker can't be reached.
    """
    if not is_topic(uri):
        if config is not None:
            raise UsageError("--source-config is for topics", next="leave it out, or give a kafka:// or eventhub:// topic")
        return nullcontext()
    from lakewarden.sources.kafka.connection import load_config  # librdkafka loads only where it is used
    from lakewarden.sources.kafka.sink import KafkaSink

    return KafkaSink(parse_address(uri), load_config(config))


def local_path(uri: str | Path) -> Path:
    """Return the local path of a path or a `file://` URI.

    Raises:
        UsageError: it's a URI of another scheme.
        SourceError: there is nothing at the path.
    """
    text = str(uri)
    scheme, _, rest = text.partition("://")
    if rest and scheme.lower() != "file":
        advice = "give --source a file, a folder, kafka://host:port/topic or eventhub://namespace/topic"
        raise UsageError(f"{text}: {scheme}:// is no kind of source", next=advice)
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
