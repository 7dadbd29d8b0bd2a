"""Sales, funnel and sessions on real Kafka and real Flink: every row equals the oracle's, whatever the parallelism."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.stack import Stack
from tests.e2e.harness import running_job
from tests.e2e.task_managers import task_managers

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("parallelism", [1, 4])
def test_every_insight_equals_the_oracle(stack: Stack, tmp_path: Path, parallelism: int) -> None:
    """With disorder, duplicates, broken and late events; session ids that fall silent and come back. (At parallelism 2:
    test_main_job.py.)"""
    options = ("--parallelism", str(parallelism), "--no-fraud", "--no-recommendations")
    with task_managers(stack, parallelism), running_job(stack, f"sales-{parallelism}", tmp_path, *options) as job:
        ledger = job.generate(
            "--rate", "1500", "--for", "20", "--sessions", "2000", "--seed", str(20 + parallelism),
            "--disorder", "0.3", "--disorder-ms", "900", "--late", "0.01", "--duplicates", "0.02", "--malformed", "0.005",
        )  # fmt: skip
        job.verify(ledger)
        vertices = [vertex["name"] for vertex in stack.rest(f"/jobs/{job.job_id}")["vertices"]]
        assert not [name for name in vertices if "recommend" in name or "trend" in name], "switched off is not there"
        assert job.read(job.topics.product_recommendations) == []
        late, closed = (len(job.read(topic)) for topic in (job.topics.late, job.topics.sessions))
        assert late > 50
        assert closed > 2_000
        assert job.restarts() == 0
