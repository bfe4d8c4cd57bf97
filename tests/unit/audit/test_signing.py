"""Keys are named by reference or made on first use; private ones never reach the lake."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat

from lakewarden.audit.signing import KEYS, keys_from_files, lake_keys, signer
from lakewarden.errors import ConfigurationError


def pem(key=None, protection=None) -> str:
    key = key or ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection or NoEncryption()).decode()


def test_without_a_named_key_one_is_made_once_outside_the_lake(store, state):
    first, second = signer(store), signer(store)
    (kept,) = (state / "lakewarden" / "keys").iterdir()
    assert first.public.id == second.public.id
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    first.publish(store)
    lying = [path for path in Path(store.root).rglob("*") if path.is_file()]
    assert [path.name for path in lying] == [f"{first.public.id}.pem"]
    assert b"PRIVATE" not in lying[0].read_bytes()


def test_lakes_have_keys_of_their_own(store, tmp_path):
    from lakewarden.lake.store import Store

    assert signer(store).public.id != signer(Store(tmp_path / "other", create=True)).public.id


def test_a_key_named_by_reference_signs(store, monkeypatch, tmp_path):
    text = pem()
    (tmp_path / "key.pem").write_text(text)
    monkeypatch.setenv("RECEIPTS_KEY", text.replace("\n", "\\n"))
    ids = set()
    for reference in (f"file:{tmp_path / 'key.pem'}", "env:RECEIPTS_KEY"):
        monkeypatch.setenv("LAKEWARDEN_SIGNING_KEY", reference)
        ids.add(signer(store).public.id)
    assert len(ids) == 1
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("no key at all", "PEM"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key"),
        (pem(protection=BestAvailableEncryption(b"pass")), "encrypted"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_and_never_shown(store, monkeypatch, tmp_path, text, named):
    (tmp_path / "key.pem").write_text(text)
    monkeypatch.setenv("LAKEWARDEN_SIGNING_KEY", f"file:{tmp_path / 'key.pem'}")
    with pytest.raises(ConfigurationError, match=named) as refused:
        signer(store)
    assert refused.value.next
    monkeypatch.setenv("LAKEWARDEN_SIGNING_KEY", text)  # pasted where a reference belongs
    with pytest.raises(ConfigurationError, match="no reference") as refused:
        signer(store)
    assert text not in str(refused.value)


def test_a_state_folder_that_cannot_be_written_is_an_error_with_a_way_out(store, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match="No signing key") as refused:
        signer(store)
    assert "LAKEWARDEN_SIGNING_KEY" in refused.value.next


def test_a_signature_counts_in_one_spelling_only(store):
    made = signer(store)
    signature = made.sign("ab" * 32)
    assert made.public.signed("ab" * 32, signature)
    for other in (signature.upper(), f" {signature}", signature[:-1], signature[:64], ""):
        assert not made.public.signed("ab" * 32, other)
    assert not made.public.signed("ac" * 32, signature)


def test_a_file_may_hold_several_public_keys_and_must_hold_one(tmp_path):
    made = [
        ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for _ in range(2)
    ]
    (tmp_path / "trust.pem").write_bytes(b"# auditors'\n" + b"\n".join(made))
    assert len(keys_from_files([tmp_path / "trust.pem"])) == 2
    (tmp_path / "empty.pem").write_text(pem())
    for path in (tmp_path / "empty.pem", tmp_path / "gone.pem"):
        with pytest.raises(ConfigurationError):
            keys_from_files([path])


def test_a_key_in_the_lake_under_another_s_name_is_strange(store):
    made = signer(store)
    made.publish(store)
    store.put(f"{KEYS}/k{'0' * 32}.pem", made.public.pem)
    found, strange = lake_keys(store)
    assert (list(found), strange) == ([made.public.id], [f"{KEYS}/k{'0' * 32}.pem"])
