"""Waiting, and the command line's verdicts; Kafka itself is not needed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from scripts.checker import verify
from scripts.checker.model import Findings, Problem, Report, WindowCount


def report(*problems: Problem) -> Report:
    findings = Findings()
    for problem in problems:
        findings.add(problem, "orders", "x")
    return Report({}, WindowCount(), findings)


GOOD, BAD = report(), report(Problem.LOST)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def replies(*reports: Report) -> Iterator[Report]:
    yield from reports
    while True:
        yield reports[-1]


def test_without_waiting_the_first_report_counts(clock: list[float]) -> None:
    assert verify.watch(replies(BAD, GOOD).__next__, 0, 2) is BAD
    assert clock[0] == 0


def test_waits_until_all_is_there_and_stays_so(clock: list[float]) -> None:
    assert verify.watch(replies(BAD, BAD, GOOD).__next__, 60, 2) is GOOD
    assert 2.5 <= clock[0] <= 4


def test_a_double_that_comes_after_all_was_there_is_seen(clock: list[float]) -> None:
    doubled = report(Problem.DOUBLED)
    assert verify.watch(replies(BAD, GOOD, GOOD, doubled).__next__, 60, 2) is doubled
    assert clock[0] >= 60


def test_gives_up_in_time(clock: list[float]) -> None:
    assert verify.watch(replies(BAD).__next__, 10, 2) is BAD
    assert 10 <= clock[0] <= 11


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (GOOD, 0),
        (BAD, 1),
        (report(Problem.LOST, Problem.ORACLE_DOUBT), 1),
        (report(Problem.ORACLE_DOUBT), 2),
    ],
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, outcome: Report, code: int) -> None:
    monkeypatch.setattr(verify, "_verify", lambda args: outcome)
    assert verify.run(["--bootstrap", "nowhere:1"]) == code
    assert verify.run(["--bootstrap", "nowhere:1", "--json"]) == code


def test_what_cannot_be_checked(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.run(["--bootstrap", "nowhere:1", "--rules", str(tmp_path)]) == 2
    assert "no rules" in capsys.readouterr().err


def test_a_report_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(verify, "_verify", lambda args: BAD)
    verify.run(["--bootstrap", "nowhere:1"])
    said = capsys.readouterr().out
    assert "lost in orders: 1" in said
    assert "differences" in said
