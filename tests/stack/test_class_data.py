"""The first JVM writes the archive of its classes, the second one has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.stack import class_data
from scripts.stack.paths import JAVA_HOME, SITE_PACKAGES


def run_java(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(JAVA_HOME / "bin" / "java"), *options, "-version"], capture_output=True, text=True, check=True)


@pytest.mark.thorough
def test_the_second_one_has_what_the_first_one_wrote(tmp_path: Path) -> None:
    class_data.ensure_base()
    with class_data.of_client(tmp_path) as options:
        assert "cds" not in run_java(*options).stdout.lower()
    assert [each.name for each in tmp_path.iterdir()] == ["client.jsa"]
    with class_data.of_client(tmp_path) as options:
        run_java("-Xshare:on", *options)  # which fails without an archive that fits


def test_a_run_that_fails_leaves_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed"), class_data.of_client(tmp_path):
        raise ValueError("failed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_one_server_of_a_kind_writes_for_those_of_the_next_stack(tmp_path: Path) -> None:
    class_data.ensure_base()
    kept, new = tmp_path / "kept", tmp_path / "new"
    run_java(*class_data.of_server("taskmanager", new, kept))
    assert class_data.of_server("taskmanager", new, kept) == [], "nothing to use yet, and the first one writes"
    class_data.keep(new, kept)
    assert [each.name for each in kept.iterdir()] == ["taskmanager.jsa"]
    run_java("-Xshare:on", *class_data.of_server("taskmanager", tmp_path / "next", kept))
    assert class_data.known("jobmanager", kept) == [], "of another kind"


@pytest.mark.thorough
def test_the_scripts_have_an_archive_from_the_start(tmp_path: Path) -> None:
    class_data.ensure_base()
    flink = SITE_PACKAGES / "pyflink"
    class_path = ":".join(map(str, (flink / "bin" / "bash-java-utils.jar", *(flink / "lib").glob("flink-dist-*.jar"))))
    options = class_data.of_scripts(class_path, flink / "conf", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["scripts.jsa"]
    run_java("-Xshare:on", *options, "-cp", class_path)  # which fails without an archive that fits


def test_a_stack_that_wrote_nothing_leaves_the_archives_alone(tmp_path: Path) -> None:
    class_data.of_server("kafka", tmp_path / "new", tmp_path / "kept")
    class_data.keep(tmp_path / "new", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
