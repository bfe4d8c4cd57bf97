"""What a broker runs on: a Java that is new enough, and jars that are what was pinned."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import kafka_jars
import pytest
from kafka_jars import UnavailableError


def program(path: Path, does: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("said", "version"), [('openjdk version "11.0.2" 2019-01-15', 11), ('java version "1.8.0_392"', 8)])
def test_java_is_too_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, version: int):
    old = program(tmp_path / "bin" / "java", f"echo '{said}' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match=f"{old} is version {version}"):
        kafka_jars.find_java(install=True)


def test_java_is_installed_by_root_on_debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    java = "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n"
    (tmp_path / "packaged").write_text(java)
    (tmp_path / "packaged").chmod(0o755)
    # The first package is unknown to this Debian, as it is to the newest.
    install = f"*default-jre*) /bin/mv {tmp_path}/packaged {tmp_path}/java;;"
    program(tmp_path / "apt-get", f'echo "$@" >> {tmp_path}/calls; case "$*" in {install} update) ;; *) exit 100;; esac')
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "DEBIAN", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError):
        kafka_jars.find_java(install=True)
    assert not (tmp_path / "calls").exists()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert kafka_jars.find_java(install=True) == str(tmp_path / "java")
    assert [line.split()[-1] for line in (tmp_path / "calls").read_text().splitlines()] == [
        "openjdk-17-jre-headless",
        "update",
        "openjdk-17-jre-headless",
        "default-jre-headless",
    ]


def test_a_jar_is_damaged(tmp_path: Path):
    good, path = b"as it was published", "org/example/a/1/a-1.jar"
    source = tmp_path / "repository" / path
    source.parent.mkdir(parents=True)
    source.write_bytes(b"as somebody else made it")
    pinned, folder, repository = tmp_path / "jars.txt", tmp_path / "jars", (tmp_path / "repository").as_uri()
    pinned.write_text(f"# what it needs\n{hashlib.sha256(good).hexdigest()}  {path}\n")

    with pytest.raises(UnavailableError, match=r"Can't get file:.*/a-1.jar: its sha256 is \w{64} and should be \w{64}\.\nnext: "):
        kafka_jars.class_path(folder, repository, pinned)
    assert not list(folder.iterdir())

    source.write_bytes(good)
    assert kafka_jars.class_path(folder, repository, pinned) == str(folder / "a-1.jar")
    (folder / "a-1.jar").write_bytes(good[:5])
    kafka_jars.class_path(folder, repository, pinned)
    assert (folder / "a-1.jar").read_bytes() == good

    source.unlink()
    (folder / "a-1.jar").unlink()
    with pytest.raises(UnavailableError, match=r"a-1.jar: .*No such file"):
        kafka_jars.class_path(folder, repository, pinned)
