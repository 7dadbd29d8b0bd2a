"""The units of plain hosts, as systemd itself judges them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.manifests import ROOT

UNITS: Final = sorted((ROOT / "flink-conf" / "systemd").glob("*.service"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The units with this project in place of /opt/millrace, so that what they start is looked for."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/millrace", str(ROOT)))
    return tmp_path


def verify(folder: Path) -> list[str]:
    """What `systemd-analyze verify` says of the units; its exit code is 0 also when it warns."""
    names = [name.replace("@.", "@1.") for name in sorted(each.name for each in folder.glob("*.service"))]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(f"./{name}" for name in names)], cwd=folder, capture_output=True, text=True, check=False
    )
    return [line for line in done.stderr.splitlines() if str(folder) in line or "millrace" in line]


def test_units_are_valid_and_what_they_start_is_there(here: Path) -> None:
    if not (ROOT / ".millrace" / "flink").is_dir():
        pytest.skip("Flink is not set up here yet")
    assert [unit.name for unit in UNITS] == ["millrace-dashboard.service", "millrace-jobmanager.service", "millrace-taskmanager@.service"]
    assert verify(here) == []


def test_a_slip_is_found(here: Path) -> None:
    unit = here / "millrace-jobmanager.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges", "NoNewPrivilege").replace("jobmanager.sh", "job-manager.sh"))
    found = "\n".join(verify(here))
    assert "NoNewPrivilege" in found
    assert "job-manager.sh" in found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_do_not_run_as_root(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert {"User=millrace", "NoNewPrivileges=true", "ProtectSystem=strict"} <= set(lines)
