"""Broken input must not stop the job. (What dies: test_chaos.py, test_fraud.py, test_high_availability.py.)"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from confluent_kafka import Producer

from scripts.stack import Stack
from tests.e2e.harness import order, running_job

pytestmark = pytest.mark.e2e

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def test_mutated_events_never_stop_the_job(stack: Stack, tmp_path: Path) -> None:
    """100,000 mutated values, in batches of every compression: each ends as a dead letter or as a valid event, and the job never restarts
    (a third is not changed)."""
    with running_job(stack, "mutated", tmp_path, "--kafka-property", "compression.type=zstd") as job:
        randomness = random.Random(7)
        producers = [Producer({"bootstrap.servers": stack.bootstrap, "linger.ms": 20, "compression.type": codec}) for codec in _CODECS]
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
        assert len(job.read(job.topics.dead_letters)) > 10_000
