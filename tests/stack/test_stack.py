"""What the local stack writes down, and reads back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from scripts.stack import Stack, StackError, jars
from scripts.stack.processes import Running


def me() -> Running:
    return Running("me", os.getpid(), psutil.Process().create_time(), "me.log")


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert Stack.load(tmp_path) is None


def test_a_saved_stack_is_found_again(tmp_path: Path) -> None:
    ended = Running("ended", os.getpid(), 1.0, "ended.log")
    stack = Stack(tmp_path, parallelism=3, kafka_port=1234, ui_port=5678, processes=[me(), ended])
    stack.save()
    found = Stack.load(tmp_path)
    assert found is not None
    assert (found.bootstrap, found.rest_url, found.parallelism) == ("127.0.0.1:1234", "http://127.0.0.1:5678", 3)
    assert found.processes == [me()], "what has ended is left out"


def test_flink_configuration(tmp_path: Path) -> None:
    stack = Stack(tmp_path, parallelism=2, python_mode="process", ui_port=5678, flink_options={"taskmanager.numberOfTaskSlots": "4"})
    options = stack.flink_configuration()
    assert options["rest.port"] == 5678
    assert options["python.execution-mode"] == "process"
    assert options["parallelism.default"] == 2
    assert options["execution.checkpointing.dir"] == (tmp_path / "checkpoints").as_uri()
    assert options["taskmanager.numberOfTaskSlots"] == "4", "the caller's options come last"
    addresses = {name: value for name, value in options.items() if name.endswith(("address", "host"))}
    assert set(addresses.values()) == {"127.0.0.1"}, "nothing listens to other machines"
    assert yaml.safe_load(yaml.safe_dump(options)) == options


def test_short_memory_ends_the_start_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "ensure", lambda: None)
    stack = Stack(tmp_path / "run", parallelism=10_000)
    with pytest.raises(StackError, match="MB are needed"):
        stack.up()
    assert not (tmp_path / "run").exists()


def test_down_without_a_stack(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from scripts.stack import down; down.WORKDIR = Path({str(tmp_path)!r}); down.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Nothing of this project is running.\n"
