"""The verdict: every check fails when it must."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from scripts.chaos.health import Sample
from scripts.chaos.model import Cell
from scripts.chaos.readers import Flow
from scripts.chaos.report import healing, problems, row
from scripts.chaos.result import Done, Result, heal, judge, last_in_force
from scripts.chaos.run import timeline

CELL = Cell.model_validate(
    {
        "name": "x", "description": "", "fault": {"kind": "none"},
        "checks": {"healthy_within_s": 10, "recovered_within_s": 8, "output_during": True, "same_job": True, "max_rss_mb": {"kafka": 500}},
    }
)  # fmt: skip
ACT = Done(1, "taskmanager-1", 1_000, 3_000, 10, 20, healthy_ms=9_000, recovered_ms=9_000)


def result(**changes: Any) -> Result:
    good = Result("x", 7, [ACT], verified={"ok": True, "events": 5, "late": 1, "problems": []}, largest_mb={"kafka": 400})
    return replace(good, **changes)


def failed(outcome: Result, differences: list[str] | None = None, lacking: str = "") -> list[str]:
    return [check.name for check in judge(CELL, outcome, differences or [], lacking) if not check.ok]


def test_all_is_well() -> None:
    assert failed(result()) == []


LOST = {"problem": "lost", "topic": "orders", "count": 3, "tolerated": False, "examples": []}


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (result(verified={"ok": False, "problems": [LOST]}), "nothing lost, doubled, reordered or altered"),
        (result(verified={}), "nothing lost, doubled, reordered or altered"),
        (result(acts=[replace(ACT, healthy_ms=None)]), "healthy within 10 s"),
        (result(acts=[replace(ACT, healthy_ms=13_001)]), "healthy within 10 s"),
        (result(acts=[replace(ACT, recovered_ms=None)]), "recovered within 8 s"),
        (result(acts=[replace(ACT, recovered_ms=9_001), ACT]), "recovered within 8 s"),
        (result(acts=[ACT, replace(ACT, out_after=10)]), "output while the fault lasts"),
        (result(restarts=1), "Flink does not restart the job"),
        (result(largest_mb={"kafka": 501}), "kafka holds at most 500 MB"),
        (result(largest_mb={}), "kafka holds at most 500 MB"),
    ],
)
def test_each_check_fails_when_it_must(outcome: Result, name: str) -> None:
    assert failed(outcome) == [name]


@pytest.mark.parametrize(
    ("problem", "given_up", "ok"),
    [("lost", 0, False), ("lost", 1, True), ("doubled", 1, False), ("doubled", 0, False), (None, 0, True), (None, 2, True)],
)
def test_a_cell_that_may_lose_what_it_reports(problem: str | None, given_up: int, ok: bool) -> None:
    cell = CELL.model_copy(update={"checks": CELL.checks.model_copy(update={"loss_reported": True})})
    found = [LOST | {"problem": problem}] if problem else []
    outcome = result(verified={"ok": not found, "problems": found}, given_up=given_up)
    assert judge(cell, outcome, [], "")[0].ok is ok


def test_readers_and_rules() -> None:
    assert failed(result(), ["orders[0]: …"]) == ["both readers saw the same"]
    assert failed(result(), lacking="version 3 …") == ["the last rule is in force on all subtasks"]


def test_problems_are_named() -> None:
    outcome = result(verified={"ok": False, "problems": [LOST]})
    outcome.checks = judge(CELL, outcome, [], "")
    assert problems(outcome) == ["nothing lost, doubled, reordered or altered: 3 lost in orders"]
    assert (outcome.ok, outcome.outcome) == (False, "FAILED")


def test_skipped_and_broken_cells() -> None:
    skipped = Result("x", 7, skipped="there is no program ip")
    assert (skipped.ok, row(skipped)[-1], problems(skipped)) == (True, "skipped", ["skipped: there is no program ip"])
    broken = Result("x", 7, failure="Kafka was not ready")
    assert (broken.ok, row(broken)[-1], problems(broken)) == (False, "FAILED", ["Kafka was not ready"])


def test_healing_belongs_to_one_act() -> None:
    """The first act was not healed before the second began; the second was."""
    acts = [replace(ACT, ended_ms=3_000, healthy_ms=None), replace(ACT, begun_ms=5_000, ended_ms=6_000, healthy_ms=None)]
    heal(acts, [Sample(4_000, True, (3_100,)), Sample(9_500, True, (7_000, 8_000))])
    assert [act.healthy_ms for act in acts] == [None, 9_500]
    heal(acts, [Sample(4_500, True, (3_100, 4_000)), Sample(9_500, True, (7_000, 8_000))])
    assert [act.healthy_s for act in acts] == [1.5, 3.5]
    assert [act.recovered_s for act in acts] == [3.5, 4.5], "from its begin"


def test_healing_in_words() -> None:
    assert healing(result()) == "6 s"
    assert healing(result(acts=[replace(ACT, healthy_ms=None)])) == "-"
    assert healing(result(acts=[ACT, replace(ACT, healthy_ms=5_000), replace(ACT, healthy_ms=4_000)])) == "2 s, at most 6 s"


def answer(subtask: int, version: int = 5, status: str = "accepted") -> dict[str, Any]:
    return {"rule_id": "r", "version": version, "subtask": subtask, "status": status}


@pytest.mark.parametrize(
    ("answers", "lacking"),
    [
        ([answer(0), answer(1)], ""),
        ([answer(1), answer(0), answer(0)], ""),
        ([answer(0), answer(1, version=4)], "version 5 has no answer from subtask 1"),
        ([answer(0), answer(1, status="rejected")], "version 5 has no answer from subtask 1"),
        ([], "version 5 has no answer from subtask 0, 1"),
    ],
)
def test_last_in_force(answers: list[dict[str, Any]], lacking: str) -> None:
    assert last_in_force(answers, "r", 5, 2) == lacking


def test_the_age_of_the_newest_output_grows_while_there_is_none() -> None:
    flow = Flow(Counter({10: 5, 11: 5}), Counter({11: 4}), {11: 10_500})
    line = timeline(flow, 10_000, 13_500)
    assert (line.came_in, line.came_out, line.age_ms) == ([5, 5, 0, 0], [0, 4, 0, 0], [None, 1_500, 2_500, 3_500])
