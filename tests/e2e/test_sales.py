"""Sales, funnel and sessions on real Kafka and real Flink: every row equals the oracle's."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.stack import Stack
from tests.e2e.harness import running_job
from tests.e2e.task_managers import task_managers

pytestmark = pytest.mark.e2e


def test_every_insight_equals_the_oracle_at_parallelism_4(stack: Stack, tmp_path: Path) -> None:
    """With disorder, duplicates, broken and late events; session ids that fall silent and come back. (At parallelism 1 and 2:
    integration/test_sales.py; at 2 also test_main_job.py.)"""
    options = ("--parallelism", "4", "--no-fraud", "--no-recommendations")
    with task_managers(stack, 4), running_job(stack, "sales-4", tmp_path, *options) as job:
        ledger = job.generate(
            "--rate", "1500", "--for", "15", "--sessions", "2000", "--seed", "24",
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
