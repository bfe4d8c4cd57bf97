"""Verification finds whatever was done to the chain, and names the receipt."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.audit import chain
from lakewarden.audit.receipts import Act, Author, Ledger, Receipt, all_receipts, path
from lakewarden.audit.signing import KEYS, Signer
from lakewarden.errors import UsageError
from lakewarden.lake.store import Store

COUNT = 5
SIGNER, FORGER = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())


def write(root: Path, signer: Signer = SIGNER, count: int = COUNT) -> Store:
    store = Store(root, create=True)
    ledger = Ledger(store, lambda: signer, lambda: dt.datetime(2026, 1, 6, tzinfo=dt.UTC), Author("ada", "host"))
    for number in range(count):
        ledger.record(Act("release.create", reason=f"because of {number}", outcome={"share": 0.5, "name": "Zoë"}, counts={"rows": number}))
    return store


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return Path(write(tmp_path_factory.mktemp("chain") / "lake").root)


@pytest.fixture
def store(written, tmp_path) -> Store:
    return Store(shutil.copytree(written, tmp_path / "copy"))


def found(store: Store, **options) -> list[tuple[int | None, str]]:
    return [(finding.number, finding.kind) for finding in chain.verify(store, **{"held": [SIGNER.public], **options}).findings]


def rehashed(receipt: Receipt, signer: Signer | None = None, **changed: object) -> Receipt:
    """What someone writes who knows how hashes are made; signed anew only by a signer."""
    new = dataclasses.replace(receipt, **changed)
    digest = new.digest()
    return dataclasses.replace(new, hash=digest, signature=signer.sign(digest) if signer else receipt.signature)


def test_a_sound_chain_is_ok_and_says_who_signed_what(store):
    report = chain.verify(store, [SIGNER.public], all_receipts(store)[-1].hash)
    assert report.ok
    assert (report.receipts, report.notes) == (COUNT, ())
    assert report.keys == (chain.KeyUse(SIGNER.public.id, True, COUNT, 0, COUNT - 1),)
    assert report.head == all_receipts(store)[-1].hash


def test_without_a_key_or_a_head_it_says_what_it_cannot_know(store):
    report = chain.verify(store)
    assert report.ok
    assert report.notes == (chain.NOT_HELD, chain.NO_HEAD)
    assert not report.keys[0].held


def test_an_empty_ledger_is_sound_unless_a_head_was_written_down(tmp_path):
    empty = Store(tmp_path / "empty", create=True)
    assert found(empty) == []
    assert found(empty, head="ab" * 32) == [(0, "truncated")]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_change_of_any_byte_of_any_receipt_is_found_and_named(written, data):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(shutil.copytree(written, Path(folder) / "lake"))
        number = data.draw(st.integers(0, COUNT - 1), "receipt")
        whole = store.get(path(number))
        at = data.draw(st.integers(0, len(whole) - 1), "at")
        edit = data.draw(st.sampled_from(["replace", "insert", "remove", "cut"]), "edit")
        byte = bytes([data.draw(st.sampled_from(list(b' \n",:{0eE')) | st.integers(0, 255), "byte")])
        damaged = {
            "replace": whole[:at] + byte + whole[at + 1 :],
            "insert": whole[:at] + byte + whole[at:],
            "remove": whole[:at] + whole[at + 1 :],
            "cut": whole[:at],
        }[edit]
        store.put(path(number), damaged)
        assert [one for one, _ in found(store)] == ([] if damaged == whole else [number])


@pytest.mark.parametrize(
    "spelled",
    [
        lambda data: data.replace(b'":', b'": ', 1),
        lambda data: data + b"\n",
        lambda data: json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":"), ensure_ascii=False).encode(),
        lambda data: data.replace("Zoë".encode(), b"Zo\\u00eb"),
        lambda data: data.replace(b"0.5", b"5e-1"),
        lambda data: data.replace(b'"kind":', b'"kind":"x","kind":'),
    ],
    ids=["a space", "a line break", "another order", "an escape", "another number", "a key twice"],
)
def test_the_same_receipt_in_another_spelling_is_edited(store, spelled):
    before = store.get(path(2))
    store.put(path(2), spelled(before))
    assert store.get(path(2)) != before
    assert found(store) == [(2, "edited")]


@settings(max_examples=60, deadline=None)
@given(dropped=st.sets(st.integers(0, COUNT - 1), min_size=1))
def test_dropped_receipts_are_found_and_named(written, dropped):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(shutil.copytree(written, Path(folder) / "lake"))
        head = all_receipts(store)[-1].hash
        store.delete([path(number) for number in dropped])
        last = max(set(range(COUNT)) - dropped, default=-1)
        gaps = [(number, "dropped") for number in sorted(dropped) if number < last]
        tail = [(last + 1, "truncated")] if last < COUNT - 1 else []
        assert found(store) == gaps
        assert found(store, head=head) == gaps + tail


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(COUNT)))
def test_receipts_in_another_order_are_found_and_named(written, order):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(shutil.copytree(written, Path(folder) / "lake"))
        bodies = [store.get(path(number)) for number in order]
        for number, body in enumerate(bodies):
            store.put(path(number), body)
        assert found(store) == [(number, "reordered") for number, original in enumerate(order) if number != original]


@pytest.mark.parametrize("number", range(COUNT))
def test_an_edit_with_a_fitting_hash_lacks_the_signature(store, number):
    store.put(path(number), rehashed(all_receipts(store)[number], reason="something else").to_json())
    assert found(store) == [(number, "forged")]
    assert found(store, held=()) == [(number, "forged")]


@pytest.mark.parametrize("number", range(COUNT - 1))
def test_even_who_holds_the_key_cannot_replace_one_receipt(store, number):
    store.put(path(number), rehashed(all_receipts(store)[number], SIGNER, reason="something else").to_json())
    assert found(store) == [(number + 1, "unlinked")]


def test_a_forged_receipt_at_the_end_is_found_by_whoever_holds_the_key(store):
    last = all_receipts(store)[-1]
    forged = rehashed(last, FORGER, number=COUNT, previous=last.hash, key_id=FORGER.public.id, act_id="forged")
    store.put(path(COUNT), forged.to_json())
    assert found(store) == found(store, held=()) == [(COUNT, "forged")]
    store.put(f"{KEYS}/{FORGER.public.id}.pem", FORGER.public.pem)
    assert found(store) == [(COUNT, "forged")]
    believed = chain.verify(store)  # who holds no key is told of both, and that the lake is believed
    assert believed.ok
    assert [key.key_id for key in believed.keys] == [SIGNER.public.id, FORGER.public.id]
    assert chain.NOT_HELD in believed.notes


def test_a_key_id_claimed_by_another_s_signature_is_forged(store):
    last = all_receipts(store)[-1]
    store.put(path(COUNT), rehashed(last, FORGER, number=COUNT, previous=last.hash, act_id="forged").to_json())
    assert found(store) == [(COUNT, "forged")]


def test_a_whole_chain_of_another_s_is_forged_throughout(tmp_path):
    store = write(tmp_path / "forged", FORGER)
    assert found(store) == [(number, "forged") for number in range(COUNT)]


def test_a_chain_whose_beginning_was_cut_off_and_renumbered_is_found(tmp_path, store):
    """By the key's holder: nobody else could sign it."""
    other = Store(tmp_path / "other", create=True)
    for number, receipt in enumerate(all_receipts(store)[1:]):
        other.put(path(number), rehashed(receipt, SIGNER, number=number).to_json())
    assert found(other)[0] == (0, "unlinked")


def test_a_receipt_copied_to_the_end_is_found(store):
    store.put(path(COUNT), store.get(path(1)))
    assert found(store) == [(COUNT, "reordered")]


def test_a_second_receipt_of_one_act_is_found(store):
    last = all_receipts(store)[-1]
    store.put(path(COUNT), rehashed(last, SIGNER, number=COUNT, previous=last.hash).to_json())
    assert found(store) == [(COUNT, "doubled")]


def test_what_lies_among_the_receipts_and_is_none_is_named(store):
    store.put("_receipts/00000000000000000002 (copy).json", b"{}")
    assert found(store) == [(None, "strange")]


def test_an_older_head_is_there_still_and_one_that_never_was_is_not(store):
    assert found(store, head=all_receipts(store)[1].hash) == []
    assert found(store, head="0" * 64) == [(COUNT, "truncated")]
    with pytest.raises(UsageError, match="no hash"):
        chain.verify(store, head="abc")


def test_the_report_is_json(store):
    store.put(path(2), b"x")
    report = chain.verify(store, [SIGNER.public]).to_dict()
    assert (report["ok"], report["rows"], report["differences"]) == (False, COUNT, 1)
    assert report["findings"][0]["number"] == 2
