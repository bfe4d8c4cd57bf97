"""Compiled functions: where their machine code is kept, and that it is never that of other sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakewarden import compiled as module
from lakewarden.compiled import cache_folder, compiled, inlined, lean, sources_digest

PROGRAM = """
from lakewarden.compiled import cache_folder, compiled

@compiled
def answer(value):
    return value * 6

print(answer(7), cache_folder(__file__))
"""


def run(tmp_path: Path, **environment: str) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, program], env=kept | environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_machine_code_is_kept_where_the_user_says(tmp_path: Path) -> None:
    number, folder = run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert (number, Path(folder).parent) == ("42", tmp_path)
    assert list(Path(folder).rglob("program.answer*.nbi"))


def test_the_next_best_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "no"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache_folder.cache_clear()
    folder = cache_folder(__file__)
    cache_folder.cache_clear()
    assert folder is not None
    assert folder.parent == tmp_path / "cache" / "lakewarden"


def test_nowhere_to_write_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "no")
    assert run(tmp_path, NUMBA_CACHE_DIR=nowhere, XDG_CACHE_HOME=nowhere) == ["42", "None"]


def test_the_digest_follows_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = tmp_path / "near.py", tmp_path / "flow" / "far.py"
    far.parent.mkdir()
    far.write_text("LIMIT = 1\n")
    near.write_text("from lakewarden.flow.far import LIMIT\n")
    (tmp_path / "other.py").write_text("x = 1\n")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "compiled.py"))

    def digest() -> str:
        sources_digest.cache_clear()
        return sources_digest(str(near))

    before = digest()
    (tmp_path / "other.py").write_text("x = 2\n")
    assert digest() == before
    far.write_text("LIMIT = 2\n")
    assert digest() != before
    sources_digest.cache_clear()


@inlined
def _half(value: int) -> int:
    return value // 2


@lean
def _quarter(value: int) -> int:
    return _half(_half(value))


@compiled
def _quarters(count: int) -> list[int]:
    return [_quarter(i) for i in range(count)]


def test_compiled_functions_call_each_other() -> None:
    assert _quarters(9) == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert cache_folder(__file__) is not None
