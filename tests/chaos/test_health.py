"""When a job counts as healthy.

    time      1000  2000  3000  4000  5000
    tasks     run   -     -     run   run
    begun            ^fault ends at 2500
"""

from __future__ import annotations

import pytest

from scripts.chaos.health import Sample, healthy_at, parse, restarts


@pytest.mark.parametrize(
    ("samples", "healthy_ms"),
    [
        ([], None),
        ([Sample(1000, True, (2600, 2700))], None),  # before the fault ended
        ([Sample(3000, True, (2600,))], None),  # one checkpoint
        ([Sample(3000, True, (1000, 2000, 2499))], None),  # begun before
        ([Sample(3000, False, (2600, 2700))], None),  # a task is not running
        ([Sample(3000, True, (2500, 2700))], 3000),
        ([Sample(3000, False), Sample(4000, True, (2600,)), Sample(5000, True, (2600, 3600)), Sample(6000, True, (3600, 4600))], 5000),
    ],
)
def test_healthy_at(samples: list[Sample], healthy_ms: int | None) -> None:
    assert healthy_at(samples, 2500) == healthy_ms


def test_restarts_over_all_lives_of_a_job() -> None:
    lives = [Sample(1, True, restarts=0, job_id="a"), Sample(2, True, restarts=2, job_id="a"), Sample(3, False, job_id="a"),
             Sample(4, True, restarts=1, job_id="b")]  # fmt: skip
    assert restarts(lives) == 3
    assert restarts([]) == 0


def answer(*statuses: str, state: str = "RUNNING") -> dict[str, object]:
    return {"state": state, "vertices": [{"status": status} for status in statuses]}


@pytest.mark.parametrize(
    ("job", "running"),
    [
        (answer("RUNNING", "RUNNING"), True),
        (answer("RUNNING", "INITIALIZING"), False),
        (answer("RUNNING", "RUNNING", state="RESTARTING"), False),
        (answer(), False),
    ],
)
def test_parse(job: dict[str, object], running: bool) -> None:
    history = [{"status": "COMPLETED", "trigger_timestamp": 7}, {"status": "FAILED", "trigger_timestamp": 8},
               {"status": "IN_PROGRESS", "trigger_timestamp": 9}]  # fmt: skip
    sample = parse("a", 10, job, {"history": history}, [{"id": "numRestarts", "value": "3"}])
    assert sample == Sample(10, running, (7,), 3, "a")
    assert parse("a", 10, job, {"history": []}, []).restarts == 0
