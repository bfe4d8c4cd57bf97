"""A real stream over files, running while a test looks at it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lakewarden

SECRET = "hunter2-in-an-event"
ROWS = 30
EVENT = {
    "event_time": "2026-01-05T10:00:00Z",
    "account_id": SECRET,
    "amount": 12.5,
    "currency": "EUR",
    "channel": "POS",
    "country": "DE",
}


@pytest.fixture
def empty(tmp_path) -> lakewarden.Lake:
    return lakewarden.init(tmp_path / "lake")


@pytest.fixture
def events(tmp_path) -> Path:
    """A folder with `ROWS` events, one of them a duplicate and one a dead letter."""
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [json.dumps({**EVENT, "transaction_id": f"T{n}"}) for n in range(ROWS - 2)]
    (folder / "a.jsonl").write_text("\n".join([*lines, lines[0], f"{{{SECRET}"]) + "\n")
    return folder


@pytest.fixture
def streaming(empty, events) -> Callable:
    """`with streaming(...) as urls:` a stream that has published all events runs; `urls` holds where its metrics are."""

    @contextmanager
    def run(**options: object) -> Iterator[list[str]]:
        stop, urls, failed = threading.Event(), [], []

        def work() -> None:
            try:
                empty.stream(events, stop=stop, on_metrics=urls.append, **options)
            except Exception as error:  # noqa: BLE001  # raised again in the test's thread
                failed.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            deadline = time.monotonic() + 60
            while not failed and (empty.pulse().to_dict()["pulse"] or {}).get("rows") != ROWS:
                assert time.monotonic() < deadline, "the stream published nothing within a minute"
                time.sleep(0.05)
            yield urls
        finally:
            stop.set()
            worker.join(60)
        if failed:
            raise failed[0]

    return run
