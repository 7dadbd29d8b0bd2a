"""A measurement that fails does not end the others, unless there is nothing left to measure on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmark.attempt import attempt
from scripts.stack import Stack, StackError
from scripts.stack.processes import Running


def fail(error: Exception) -> int:
    raise error


def ended(name: str) -> Running:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Running(name, process.pid, 0.0, f"{name}.log")


def test_what_is_measured_is_returned(tmp_path: Path) -> None:
    assert attempt(Stack(tmp_path), "a", lambda: 7) == 7


def test_the_reason_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attempt(Stack(tmp_path), "a", lambda: fail(StackError("no\n  slot"))) == "no slot"
    assert attempt(Stack(tmp_path), "a", lambda: fail(TimeoutError("timed out"))) == "timed out"
    assert capsys.readouterr().err.splitlines() == ["a: not measured: no slot", "a: not measured: timed out"]


def test_a_fault_of_the_program_is_none_of_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        attempt(Stack(tmp_path), "a", lambda: fail(ZeroDivisionError()))


def test_without_kafka_nothing_can_be_measured_any_more(tmp_path: Path) -> None:
    stack = Stack(tmp_path, processes=[ended("kafka")])
    with pytest.raises(StackError, match="kafka has ended"):
        attempt(stack, "a", lambda: fail(StackError("no broker")))


def test_a_taskmanager_that_has_ended_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    stack = Stack(tmp_path, processes=[ended("taskmanager-1")])
    monkeypatch.setattr(stack, "start_task_manager", started.append)
    assert attempt(stack, "a", lambda: fail(StackError("no slot"))) == "no slot"
    assert started == ["taskmanager-1"]
    assert stack.processes == []
