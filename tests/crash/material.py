"""What streams that faults strike are given: a lake, and the events of a simulation as messages for a topic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import lakewarden
from servers.kafka import Event

RULE: Final = """
  - name: looked_at
    version: 1
    description: A payment that somebody shall look at.
    owner: compliance-analysts
    band: HIGH
    points: 1.0
    parameters: {least: 20000}
    when: amount_base_minor >= {least}
    values: {amount: amount_base_minor}
    reason: "{amount:money} is much"
"""
ENQUEUED: Final = re.compile(rb'"enqueued_time":"([^"]+)"')
ACCOUNT: Final = re.compile(rb'"account_id":"([^"]+)"')


def messages_of(simulation: Path) -> Iterator[Event]:
    """A simulation's events in their order: by account, with the time in the envelope as the broker's timestamp.

    One whose envelope can't be read has the time of the one before it. With the clock's, all that follow would be late.
    """
    milliseconds = 0
    for file in sorted((simulation / "events").iterdir()):
        with file.open("rb") as lines:
            for line in lines:
                body = line.rstrip(b"\n")
                if found := ENQUEUED.search(body):
                    milliseconds = round(datetime.fromisoformat(found[1].decode()).timestamp() * 1000)
                key = ACCOUNT.search(body)
                yield key and key[1], body, None, milliseconds


def new_lake(root: Path, simulation: Path) -> lakewarden.Lake:
    """An empty lake that raises an alert in nearly every micro-batch, so that faults fall into alerts too."""
    lake = lakewarden.init(root)
    with (root / "conf" / "compliance_rules.yaml").open("a") as rules:
        rules.write(RULE)
    lake.reference_import(simulation / "reference")
    return lake
