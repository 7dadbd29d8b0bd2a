"""Sales, funnel and sessions on real Kafka and real Flink: every row equals the oracle's, whatever the parallelism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.stack import Stack
from scripts.stack.processes import stop
from tests.e2e.harness import running_job, wait_until

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_every_insight_equals_the_oracle(stack: Stack, tmp_path: Path, parallelism: int) -> None:
    """With disorder, duplicates, broken and late events; session ids that fall silent and come back."""
    options = ("--parallelism", str(parallelism), "--no-fraud", "--no-recommendations")
    with task_managers(stack, parallelism), running_job(stack, f"sales-{parallelism}", tmp_path, *options) as job:
        ledger = job.generate(
            "--rate", "1500", "--for", "20", "--sessions", "2000", "--seed", str(20 + parallelism),
            "--disorder", "0.3", "--disorder-ms", "900", "--late", "0.01", "--duplicates", "0.02", "--malformed", "0.005",
        )  # fmt: skip
        job.verify(ledger)
        late, closed = (len(job.read(topic)) for topic in (job.topics.late, job.topics.sessions))
        assert late > 50
        assert closed > 2_000
        assert job.restarts() == 0


@contextmanager
def task_managers(stack: Stack, count: int) -> Iterator[None]:
    """At least `count` TaskManagers, while the block runs."""
    before = slots(stack)
    more = [stack.start_task_manager(f"taskmanager-more-{number}") for number in range(count - before)]
    try:
        wait_until(lambda: slots(stack) >= count, "the TaskManagers")
        yield
    finally:
        stop(more)
        for each in more:
            stack.processes.remove(each)
        wait_until(lambda: slots(stack) <= before, "the TaskManagers' end")


def slots(stack: Stack) -> int:
    return int(stack.rest("/overview")["slots-total"])
