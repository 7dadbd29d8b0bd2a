"""The whole job on real Kafka and real Flink, judged by the checker (scripts/checker), which shares no code with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from shop.v1.events_pb2 import Event

from scripts.stack import Stack
from tests.e2e.harness import Job, order, running_job, wait_until

pytestmark = pytest.mark.e2e

SEED_RULE_TARGET = "fraud-detection"


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    with running_job(stack, "main", tmp_path_factory.mktemp("main")) as running:
        yield running


def send(job: Job, event: Event) -> None:
    job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)


def test_everything_comes_out_once_in_order_and_rightly_summed(job: Job) -> None:
    """Also: the end of the stream is not held back, since verify waits for the very last event and window."""
    ledger = job.generate("--rate", "2000", "--for", "15", "--seed", "11", "--late", "0.01", "--duplicates", "0.02", "--malformed", "0.01")
    job.verify(ledger)
    assert job.restarts() == 0


def test_a_rule_changes_while_the_job_runs(job: Job) -> None:
    over_1_dollar = {
        "id": "over-one-dollar", "version": 1, "enabled": True,
        "when": {"events": ["order_placed"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">", "value": 100}]},
        "to": [{"topic": "payments", "order": "none"}],
    }  # fmt: skip
    before = order(200)
    send(job, before)
    wait_until(lambda: before.event_id in job.routed_ids("orders"), "the event before the rule")

    assert {answer["status"] for answer in job.push_rule(over_1_dollar)} == {"accepted"}
    after, below = order(200), order(99)
    send(job, after)
    send(job, below)
    wait_until(lambda: after.event_id in job.routed_ids("payments"), "the event after the rule")

    bad = over_1_dollar | {"version": 2, "to": [{"topic": "nowhere", "order": "none"}]}
    assert {answer["status"] for answer in job.push_rule(bad)} == {"rejected"}
    assert {answer["status"] for answer in job.push_rule(over_1_dollar | {"version": 2, "enabled": False})} == {"accepted"}
    disabled = order(200)
    send(job, disabled)
    wait_until(lambda: disabled.event_id in job.routed_ids("orders"), "the event after the rule was disabled")

    assert set(job.routed_ids("payments")).isdisjoint({before.event_id, below.event_id, disabled.event_id})
    assert job.restarts() == 0


def test_orders_over_1000_dollars_go_to_fraud_detection(job: Job) -> None:
    over, equal = order(100_001), order(100_000)
    send(job, equal)
    send(job, over)
    wait_until(lambda: over.event_id in job.routed_ids(SEED_RULE_TARGET), "the alert")
    wait_until(lambda: equal.event_id in job.routed_ids("orders"), "the other order")
    assert equal.event_id not in job.routed_ids(SEED_RULE_TARGET)
