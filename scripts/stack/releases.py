"""Copies of the code that was submitted from here: what a job goes back to if its upgrade fails, whatever has become of the checkout."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from jobs.shipping import copy_release, release
from scripts.stack.paths import ROOT, STATE

RELEASES: Final = STATE / "releases"
_KEPT: Final = 10


def keep(checkout: Path, folder: Path = RELEASES) -> str:
    """Makes a copy of a checkout's job unless there is one, and forgets the oldest; returns the name of the release."""
    name = release(checkout)
    if checkout.parent != folder and not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
        copy_release(checkout, new)
        try:
            new.rename(folder / name)
        except OSError:  # another program was faster
            shutil.rmtree(new)
    if (folder / name).exists():
        os.utime(folder / name)
    for old in sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return name


def find(name: str, folder: Path = RELEASES) -> Path | None:
    """Where the code of a release is: this checkout, or a copy; None if there is no (unchanged) one."""
    for checkout in (ROOT, folder / name):
        if checkout.is_dir() and release(checkout) == name:
            return checkout
    return None
