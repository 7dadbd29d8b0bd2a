"""The first JVM writes the archive of its classes, the second one has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.stack import class_data
from scripts.stack.paths import JAVA_HOME


def run_java(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(JAVA_HOME / "bin" / "java"), *arguments, *variables["JVM_ARGS"].split(), "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.thorough
def test_the_second_one_has_what_the_first_one_wrote(tmp_path: Path) -> None:
    class_data.ensure_base()
    archive = tmp_path / "client.jsa"
    with class_data.of_client(archive) as variables:
        assert "cds" not in run_java(variables).stdout.lower()
    assert archive.exists()
    assert [each.name for each in tmp_path.iterdir()] == [archive.name]
    with class_data.of_client(archive) as variables:
        run_java(variables, "-Xshare:on")  # which fails without an archive that fits


def test_a_run_that_fails_leaves_no_archive(tmp_path: Path) -> None:
    archive = tmp_path / "client.jsa"
    with pytest.raises(ValueError, match="failed"), class_data.of_client(archive):
        raise ValueError("failed")
    assert list(tmp_path.iterdir()) == []
