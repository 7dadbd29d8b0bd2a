"""Every fraud alert of a whole log, on real Kafka and Flink. Apart from test_fraud.py, whose job holds all slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.settings import Topics
from scripts.checker.alerts import check_alerts, expect_alerts, load_signals
from scripts.shop.ledger import read_ledger
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import Job, wait_until

pytestmark = pytest.mark.e2e


def test_alerts_are_exactly_what_the_checker_expects(stack: Stack, tmp_path: Path) -> None:
    """One partition and parallelism 1: the order in which the job sees the events is that of the log, so each alert is determined."""
    topics = Topics(prefix="fraud-exact.")
    stack.create_topics(topics, partitions=1)
    sample = Job(stack, topics, "", tmp_path)
    ledger = sample.generate("--rate", "max", "--events", "120000", "--start-time", "2026-11-01", "--event-rate", "60", "--seed", "32",
                             "--sessions", "80", "--fraud", "0.03", "--late", "0", "--malformed", "0.01")  # fmt: skip
    job_id = stack.submit("--topic-prefix", topics.prefix, "--group-id", "fraud-exact", "--parallelism", "1", "--bounded",
                          "--no-heartbeat", "--no-sales", "--no-recommendations", "--fraud-min-score", "0")  # fmt: skip
    wait_until(lambda: stack.job_state(job_id) == "FINISHED", "the job's end", 240)
    expected = expect_alerts(read_ledger(ledger).entries, load_signals(ROOT / "rules"))
    alerts = [message.value() or b"" for message in sample.read(topics.fraud_alerts)]
    assert check_alerts(alerts, expected.event_ids, min_score=0, expected=expected) == []
    assert {fired.rule_id for fired in expected.fired} == {signal.rule_id for signal in load_signals(ROOT / "rules")}
    assert len(alerts) > 300
