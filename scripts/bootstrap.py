"""Bring uv and everything that the lock file names into this checkout, and nothing anywhere else.

Needs Python 3.11 or later and the package registries. Tries, in this order: a uv on PATH that is new enough; the uv that
an earlier run put into `.tools`; a virtual environment of its own; `pip install --target` (Debian's Python comes without
`venv` but may have `pip`). It runs before anything is installed, so it uses the standard library alone, and it reads on
older Pythons, for them to be told what is wrong.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys

UV_VERSION = "0.13.9"
UV_OLDEST = (0, 8, 0)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(ROOT, ".tools")
VENV_UV = os.path.join(TOOLS, "venv", "bin", "uv")
TARGET_UV = os.path.join(TOOLS, "uv", "bin", "uv")

NO_WAY = """
Lakewarden could not get uv {version} with {python}.
It needs one of these; then run the same command again:
  - uv on PATH              https://docs.astral.sh/uv/
  - Python's venv and pip   on Debian and Ubuntu: apt-get install python3-venv
  - another Python          make PYTHON=/path/to/python3.12 ...
What was tried:
{tried}"""


def uv_version(uv: str | None) -> tuple[int, ...]:
    """The version of a uv executable; empty when there is none or it does not run."""
    if not uv:
        return ()
    try:
        said = subprocess.check_output([uv, "--version"], stderr=subprocess.DEVNULL).decode()
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else ()


def problem_of(command: list[str]) -> str | None:
    """Run a command; None when it worked, else the last lines that it said."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, check=False)
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    return "\n    ".join(done.stdout.decode("utf-8", "replace").strip().splitlines()[-3:]) or f"exit code {done.returncode}"


def install_uv() -> str:
    """Path of a uv of our own under `.tools`; exits with advice when no way works."""
    for uv in (VENV_UV, TARGET_UV):
        if uv_version(uv) == tuple(map(int, UV_VERSION.split("."))):
            return uv
    print(f"bootstrap: getting uv {UV_VERSION} into .tools", file=sys.stderr)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    venv, target = os.path.join(TOOLS, "venv"), os.path.join(TOOLS, "uv")
    ways = {
        VENV_UV: [
            [sys.executable, "-m", "venv", "--clear", venv],
            [os.path.join(venv, "bin", "python"), *pip, f"uv=={UV_VERSION}"],
        ],
        TARGET_UV: [[sys.executable, *pip, "--upgrade", "--target", target, f"uv=={UV_VERSION}"]],
    }
    tried = []
    for uv, commands in ways.items():
        for command in commands:
            problem = problem_of(command)
            if problem is not None:
                tried.append(f"  {' '.join(command)}\n    {problem}")
                break
        else:
            if uv_version(uv):
                return uv
            tried.append(f"  {uv} was installed and does not run")
    return sys.exit(NO_WAY.format(version=UV_VERSION, python=sys.executable, tried="\n".join(tried)))


def environment() -> dict[str, str]:
    """The environment for uv: this Python and no download of another, the system's certificates, a writable cache."""
    env = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    env.pop("VIRTUAL_ENV", None)
    known = ssl.get_default_verify_paths()
    if known.cafile or (known.capath and os.listdir(known.capath)):  # a company's proxy is known to the system, not to uv's own list
        env.setdefault("UV_SYSTEM_CERTS", "1")
    told = env.get("UV_CACHE_DIR") or env.get("XDG_CACHE_HOME")
    if not told and not os.access(env.get("HOME") or "/nowhere", os.W_OK):
        env["UV_CACHE_DIR"] = os.path.join(TOOLS, "cache")
    return env


def main() -> None:
    """Get uv, then make `.venv` equal to the lock file; arguments are uv's own (`--extra spark`)."""
    if sys.version_info < (3, 11):  # noqa: UP036  # this is where an older Python is told
        here = f"{sys.executable} is {sys.version.split()[0]}"
        sys.exit(f"Lakewarden needs Python 3.11 or later; {here}. Try: make PYTHON=python3.12 ...")
    on_path = shutil.which("uv")
    uv = on_path if on_path and uv_version(on_path) >= UV_OLDEST else install_uv()
    sync = [uv, "sync", "--frozen", "--python", sys.executable, *sys.argv[1:]]
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # else every process compiles every module again, which takes seconds
        sync.append("--compile-bytecode")
    if not sys.stderr.isatty():
        sync.append("--quiet")
    sys.exit(subprocess.call(sync, cwd=ROOT, env=environment()))


if __name__ == "__main__":
    main()
