"""Every diff of docs/tutorial.md fits today's code, one after the other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.docs.pages import ROOT

DIFFS: Final = re.findall(r"^```diff\n(.*?)^```$", (ROOT / "docs" / "tutorial.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_diffs_apply(tmp_path: Path) -> None:
    assert len(DIFFS) == 3
    for name in sorted(set(re.findall(r"^--- a/(\S+)$", "".join(DIFFS), re.MULTILINE))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    for number, diff in enumerate(DIFFS, 1):
        done = subprocess.run(["git", "apply", "-C1", "-"], input=diff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"step {number} of docs/tutorial.md does not fit the code any more: {done.stderr}"
    made = re.findall(r"^\+\+\+ b/(\S+)$", "".join(DIFFS), re.MULTILINE)
    assert all((tmp_path / name).is_file() for name in made)
    assert "WishlistItemAdded wishlist_item_added" in (tmp_path / "proto" / "shop" / "v1" / "events.proto").read_text()
    for name in made:
        if name.endswith(".py"):
            compile((tmp_path / name).read_text(), name, "exec")
