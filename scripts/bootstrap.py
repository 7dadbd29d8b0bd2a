"""Sets up what millrace needs in .millrace/, then runs one of its programs: `bootstrap.py MODULE [arguments]`.

Standard library only, since it runs before anything is installed. The second start finds all of it there and takes
a fraction of a second.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".millrace"
VENV = STATE / "venv"
LOCK = ROOT / "requirements.lock"
WANTED = (3, 11)


def main(arguments: list[str]) -> NoReturn:
    if not arguments:
        fail("usage: bootstrap.py MODULE [arguments]")
    if sys.version_info[:2] != WANTED:
        _run_with_wanted_python()
    _ensure_venv()
    python = str(VENV / "bin" / "python")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}", "PYTHONSAFEPATH": "1"}
    module, *rest = arguments
    os.execve(python, [python, "-m", module, *rest], environment)


def fail(message: str) -> NoReturn:
    """Ends with one line that says what is wrong and what to do."""
    print(f"millrace: {message}", file=sys.stderr)
    sys.exit(1)


def _run_with_wanted_python() -> NoReturn:
    version = ".".join(map(str, WANTED))
    other = shutil.which(f"python{version}")
    if other is None:
        fail(f"Python {version} is needed (PyFlink 2.3 has no packages for {sys.version.split()[0]}); install it, then try again")
    os.execv(other, [other, *sys.argv])


def _ensure_venv() -> None:
    stamp = VENV / "installed"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("Setting up Python packages in .millrace/venv (once, about a minute)", file=sys.stderr)
    STATE.mkdir(exist_ok=True)
    venv.EnvBuilder(with_pip=True, clear=True).create(VENV)
    _pip_install()
    stamp.write_text(wanted)


def _pip_install() -> None:
    """Installs exactly what the lock file names, by hash, and shows which package it is at."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes",
               "--prefer-binary", "--requirement", str(LOCK)]  # fmt: skip
    total = sum("==" in line and not line.startswith(" ") for line in LOCK.read_text().splitlines())
    output: list[str] = []
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            output.append(line)
            if line.startswith("Collecting "):
                seen += 1
                _progress(f"  downloading {min(seen, total)}/{total} {line.split()[1]}")
            elif line.startswith("Installing "):
                _progress("  installing")
    _progress("")
    if pip.returncode != 0:
        log = STATE / "pip.log"
        log.write_text("".join(output))
        last = next((line.strip() for line in reversed(output) if "error" in line.lower()), "see the log")
        fail(f"the Python packages could not be installed ({last}); log: {log.relative_to(ROOT)}. Check the network, then try again")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:78]}", end="" if text else "\r", file=sys.stderr, flush=True)
    elif text.startswith("  installing"):
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
