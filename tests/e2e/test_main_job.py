"""The whole job on real Kafka and real Flink, judged by the checker (scripts/checker), which shares no code with it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from shop.v1.events_pb2 import Event

from scripts.stack import Stack
from tests.e2e.harness import Job, order, running_job, wait_until

pytestmark = pytest.mark.e2e

SEED_RULE_TARGET = "fraud-detection"
WINDOW = ("--recommendation-window-ms", "4000")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """All that there is, at parallelism 2."""
    options = (*WINDOW, "--kafka-property", "compression.type=zstd")
    with running_job(stack, "main", tmp_path_factory.mktemp("main"), *options) as running:
        yield running


def send(job: Job, event: Event) -> None:
    job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)


def test_everything_comes_out_once_in_order_and_rightly_summed(job: Job) -> None:
    """With disorder, duplicates, broken and late events; recommendations and trends, too. The end of the stream is not held back: verify
    waits for the very last event and window."""
    ledger = job.generate(
        "--rate", "1000", "--for", "20", "--seed", "31",
        "--disorder", "0.3", "--disorder-ms", "900", "--late", "0.01", "--duplicates", "0.02", "--malformed", "0.01",
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


def test_mutated_events_never_stop_the_job(job: Job) -> None:
    """100,000 mutated values, in batches of every compression: each ends as a dead letter or as a valid event, and the job never restarts
    (a third is not changed)."""
    before = len(job.read(job.topics.dead_letters))
    randomness = random.Random(7)
    producers = [Producer({"bootstrap.servers": job.stack.bootstrap, "linger.ms": 20, "compression.type": codec}) for codec in CODECS]
    for index in range(100_000):
        producer = producers[index // 1_000 % len(producers)]
        # Ids far from each other: of two contents with one id, nobody can say which should come out.
        event = order(randomness.randrange(10**6), f"s-{index % 500}", f"{randomness.getrandbits(64):016x}")
        value = bytearray(event.SerializeToString())
        for _ in range(randomness.randrange(3)):
            at = randomness.randrange(len(value) + 1)
            match randomness.randrange(3):
                case 0:
                    value[at : at + 1] = randomness.randbytes(1)
                case 1:
                    del value[at:]
                case _:
                    value[at:at] = randomness.randbytes(randomness.randrange(1, 9))
        producer.produce(job.topics.events, bytes(value), event.session_id, timestamp=event.event_time_ms)
        producer.poll(0)
        if index % 1_000 == 999:
            assert producer.flush(60) == 0
    job.verify(None)
    assert job.restarts() == 0
    assert len(job.read(job.topics.dead_letters)) > before + 10_000


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
