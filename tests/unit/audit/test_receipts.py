"""Appending receipts: dense numbers, one receipt an act, however many write at once and wherever one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakewarden.audit import chain
from lakewarden.audit.receipts import ACTS, Act, Author, Ledger, Receipt, all_receipts, numbers, path, read
from lakewarden.audit.signing import signer
from lakewarden.errors import ConfigurationError, LakeError
from lakewarden.lake.store import Store

from .conftest import NOW

FULL = Act(
    "replay.swap",
    id="swap 2026-01-05 plan 7",
    reason="the limit table was wrong",
    incident="INC-DATA01-000003",
    plan={"dates": ["2026-01-05"], "steps": ["sandbox", "compare", "swap"]},
    predicted={"changed": 12, "share": 0.25},
    outcome={"changed": 12},
    tables={"risk_scores_gold": {"before": 7, "after": 8}},
    counts={"rows": 12},
    hash_totals={"risk_scores_gold": "18446744073709551615"},
    releases=("r0123",),
    approvals=({"who": "grace", "when": "2026-01-06T08:00:00+00:00", "plan_hash": "ab"},),
)


def test_a_receipt_holds_all_that_was_said_and_who_and_when(ledger, store):
    receipt = ledger.record(FULL)
    assert (receipt.number, receipt.actor, receipt.host, receipt.time) == (0, "ada", "host-1", "2026-01-06T09:30:00.000000+00:00")
    assert receipt.previous is None
    assert receipt.tables == {"risk_scores_gold": {"before": 7, "after": 8}}
    assert read(store, 0) == receipt
    assert json.loads(store.get(path(0)))["approvals"][0]["who"] == "grace"
    assert ledger.record(Act("pin.release")).previous == receipt.hash


def test_an_act_has_one_receipt_however_often_it_is_recorded(ledger, store):
    first = ledger.record(FULL)
    for number in range(3):
        ledger.record(Act("incident.note", id=f"note {number}"))
    assert ledger.record(FULL) == first
    assert ledger.record(Act("incident.note", id="note 1")).number == 2
    assert numbers(store) == [0, 1, 2, 3]


def test_acts_without_an_id_are_never_the_same(ledger, store):
    assert ledger.record(Act("incident.note")).act_id != ledger.record(Act("incident.note")).act_id
    assert numbers(store) == [0, 1]


def test_the_actor_is_the_variable_or_the_system_s_user(monkeypatch):
    monkeypatch.setenv("LAKEWARDEN_ACTOR", "night shift")
    assert Author.of_this_process().actor == "night shift"
    monkeypatch.delenv("LAKEWARDEN_ACTOR")
    assert Author.of_this_process().actor
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("no such user")))
    assert Author.of_this_process().actor == f"uid {os.getuid()}"


def test_a_missing_key_is_told_before_anything_is_written(store):
    def no_key():
        raise ConfigurationError("there is no key")

    ledger = Ledger(store, no_key, lambda: NOW)
    with pytest.raises(ConfigurationError):
        ledger.ready()
    with pytest.raises(ConfigurationError):
        ledger.record(Act("release.create"))
    assert numbers(store) == []


def test_many_threads_get_a_number_each(store):
    def write(worker: int) -> list[int]:
        ledger = Ledger(store, lambda: signer(store), lambda: NOW)
        return [ledger.record(Act("incident.note", id=f"{worker} {n}")).number for n in range(6)]

    with ThreadPoolExecutor(6) as pool:
        taken = sorted(number for numbers_ in pool.map(write, range(6)) for number in numbers_)
    assert taken == list(range(36))
    assert chain.verify(store).ok


def test_an_act_that_many_resume_at_once_has_one_receipt(store):
    def write(worker: int) -> int:
        ledger = Ledger(store, lambda: signer(store), lambda: NOW)
        ledger.record(Act("incident.note", id=f"own {worker}"))
        return ledger.record(FULL).number

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(write, range(6)))) == 1
    assert numbers(store) == list(range(7))
    assert chain.verify(store).ok


WRITER = """
import datetime as dt, os, signal, sys
from lakewarden.audit.receipts import Act, Ledger
from lakewarden.audit.signing import signer
from lakewarden.lake.store import Store

root, name, count, kill = sys.argv[1:]
put_new = Store.put_new
left = int(kill)

def killed(self, path, data):
    global left
    if path.startswith("_receipts/"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    written = put_new(self, path, data)
    if path.startswith("_receipts/"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return written

if left:
    Store.put_new = killed
store = Store(root)
ledger = Ledger(store, lambda: signer(store), lambda: dt.datetime.now(dt.UTC))
for n in range(int(count)):
    ledger.record(Act("incident.note", id=f"{name} {n}"))
"""


def start(store: Store, name: str, count: int, kill: int = 0) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER, store.root, name, str(count), str(kill)])


def test_two_processes_append_at_once(store):
    workers = [start(store, name, 25) for name in ("a", "b")]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert numbers(store) == list(range(50))
    assert len({receipt.act_id for receipt in all_receipts(store)}) == 50
    assert chain.verify(store).ok


@pytest.mark.parametrize("step", range(1, 7))  # the note of the act, the public key, the receipt: before and behind each
def test_a_writer_killed_at_any_step_leaves_a_sound_chain_and_is_resumed(store, step):
    ledger = Ledger(store, lambda: signer(store), lambda: NOW)
    assert start(store, "a", 1, step).wait(120) == -signal.SIGKILL
    assert chain.verify(store).ok
    ledger.record(Act("incident.note", id="b 0"))
    resumed = ledger.record(Act("incident.note", id="a 0"))
    assert ledger.record(Act("incident.note", id="a 0")) == resumed
    assert sorted(receipt.act_id for receipt in all_receipts(store)) == ["a 0", "b 0"]
    assert chain.verify(store).ok


def test_a_lost_note_of_an_act_costs_a_look_and_no_double(ledger, store):
    first = ledger.record(FULL)
    (note,) = [entry.path for entry in store.entries(ACTS)]
    store.put(note, b"damaged")
    assert ledger.record(FULL) == first


def test_a_damaged_head_is_named_and_nothing_follows_it(ledger, store):
    ledger.record(FULL)
    store.put(path(0), b"{}")
    with pytest.raises(LakeError, match="Receipt 0 is damaged") as refused:
        ledger.record(Act("pin.release"))
    assert "restore" in refused.value.next
    assert numbers(store) == [0]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'"x"', b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_receipt_is_an_error_and_no_traceback(data):
    with pytest.raises(LakeError):
        Receipt.from_json(data)
