"""A disk in memory whose size can be changed while it is in use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

ENOUGH_MB: Final = 1024
"""More than the tidying of a lake asks for (it leaves a disk alone that is nearly full)."""


class MountError(Exception):
    """The system doesn't let this process mount a file system."""


class SmallDisk:
    """A tmpfs, mounted inside the block.

    Raises:
        MountError: mounting isn't permitted here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={ENOUGH_MB}m", "lakewarden-tests", str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            _run("umount", str(self.folder))
        except MountError:
            _run("umount", "--lazy", str(self.folder))  # somebody still looks at a file: it is gone with them

    def leave(self, kibibytes: int) -> None:
        """Make the disk so small that only so much is free."""
        now = os.statvfs(self.folder)
        used = (now.f_blocks - now.f_bfree) * now.f_frsize
        self._resize(f"{used // 1024 + kibibytes}k")

    def grow(self) -> None:
        """Make room again."""
        self._resize(f"{ENOUGH_MB}m")

    def _resize(self, size: str) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self.folder))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MountError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise MountError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
