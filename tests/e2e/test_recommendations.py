"""Recommendations and trends on real Kafka and real Flink, at parallelism 2: every record equals the oracle's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.stack import Stack
from tests.e2e.harness import running_job

pytestmark = pytest.mark.e2e

WINDOW = ("--recommendation-window-ms", "4000")


def test_every_record_equals_the_oracle(stack: Stack, tmp_path: Path) -> None:
    """With disorder, duplicates, broken and late events."""
    with running_job(stack, "recommendations", tmp_path, *WINDOW, "--parallelism", "2") as job:
        ledger = job.generate(
            "--rate", "1000", "--for", "20", "--seed", "31",
            "--disorder", "0.3", "--disorder-ms", "900", "--late", "0.01", "--duplicates", "0.02", "--malformed", "0.005",
        )  # fmt: skip
        job.verify(ledger, options=("--recommendations", *WINDOW))
        by_product, by_user, trending = (
            [json.loads(message.value() or b"") for message in job.read(topic)]
            for topic in (job.topics.product_recommendations, job.topics.user_recommendations, job.topics.trending)
        )
        assert len({row["product_id"] for row in by_product}) > 500
        assert any(row["also_bought"] for row in by_product)
        assert len({row["category"] for row in trending}) == 12
        assert sum(row["items"][0]["score"] > 0 for row in by_user) > len(by_user) / 2, "most answers are more than what is popular"
        assert {bool(row["user_id"]) for row in by_user} == {True, False}
        assert job.restarts() == 0
