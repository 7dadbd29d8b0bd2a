"""A jar that is not the locked one must not be used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from scripts.stack import StackError, jars


@pytest.fixture
def downloaded(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "a-1.0.jar", tmp_path / "b-2.0.jar"]
    for each in files:
        each.write_bytes(each.name.encode())
    return files


def lock_of(files: list[Path]) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def test_the_locked_jars_pass(downloaded: list[Path]) -> None:
    jars.verify(downloaded, lock_of(downloaded))


def test_a_changed_jar_is_refused_by_name(downloaded: list[Path]) -> None:
    locked = lock_of(downloaded)
    downloaded[1].write_bytes(b"other")
    with pytest.raises(StackError, match=r"b-2\.0\.jar: SHA-256 is .{64}, jars\.lock says .{64}; remove \.millrace/jgo"):
        jars.verify(downloaded, locked)


def test_a_missing_jar_is_refused(downloaded: list[Path]) -> None:
    with pytest.raises(StackError, match=r"a-1\.0\.jar: SHA-256 is missing"):
        jars.verify(downloaded[1:], lock_of(downloaded))


def test_a_jar_that_nobody_locked_is_refused(downloaded: list[Path]) -> None:
    with pytest.raises(StackError, match=r"b-2\.0\.jar: .* says nothing of it"):
        jars.verify(downloaded, lock_of(downloaded[:1]))


def test_the_lock_file_names_kafka_and_the_connector() -> None:
    names = set(jars.read_lock())
    assert any(name.startswith("kafka_2.13-") for name in names)
    assert any(name.startswith("flink-sql-connector-kafka-") for name in names)
