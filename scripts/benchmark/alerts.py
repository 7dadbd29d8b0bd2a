"""How soon an alert comes: from the moment the event that set it off was due to be sent until a consumer holds the alert.

Open loop, as in latency.py. The shop runs with many attackers and alerts of any score are written, so that there are enough of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing

from confluent_kafka import Consumer

from jobs.settings import Topics
from scripts.benchmark.latency import Latency, at_end, percentile
from scripts.benchmark.traffic import UNDISTURBED, generating
from scripts.stack import Stack

TOPICS = Topics(prefix="alerts.")
_WARM_UP_S = 40
_ATTACKERS = "0.03"
_ORDERED = "no-view"
"""The one signal that waits for the order of the session."""


def measure(stack: Stack, rate: int, seconds: int, guarantee: str, group_id: str, *options: str) -> list[Latency]:
    """Runs the job with the rules of rules/ and the generator; one result for signals decided at once, one for those in order."""
    job_id = stack.submit(
        "--topic-prefix", TOPICS.prefix, "--group-id", group_id, "--guarantee", guarantee, "--start", "latest-offset",
        "--fraud-min-score", "0", *options,
    )  # fmt: skip
    try:
        stack.wait_running(job_id)
        found: dict[str, list[float]] = {"none": [], "session": []}
        disturbances = ("--fraud", _ATTACKERS, *UNDISTURBED)
        with generating(stack.bootstrap, TOPICS.prefix, rate, seconds + _WARM_UP_S, *disturbances):
            for order, latency_ms in _latencies(stack.bootstrap, guarantee, seconds):
                found[order].append(latency_ms)
    finally:
        stack.cancel(job_id)
    return [
        Latency(guarantee, order, len(values), *(percentile(values, share) for share in (0.50, 0.95, 0.99)))
        for order, values in found.items()
    ]  # fmt: skip


def _latencies(bootstrap: str, guarantee: str, seconds: int) -> Iterator[tuple[str, float]]:
    """("none" or "session", milliseconds) of each alert that comes after the warm-up."""
    isolation = "read_committed" if guarantee == "exactly-once" else "read_uncommitted"
    client = {"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": isolation, "enable.auto.commit": False,
              "fetch.wait.max.ms": 5, "fetch.min.bytes": 1}  # fmt: skip
    with closing(Consumer(client)) as consumer:
        consumer.assign(at_end(consumer, TOPICS.fraud_alerts))
        start = time.monotonic() + _WARM_UP_S
        while time.monotonic() < start + seconds:
            messages = consumer.consume(500, timeout=0.01)
            now_ms = time.time() * 1000
            for message in messages if time.monotonic() >= start else ():
                if message.error() is None:
                    alert = json.loads(message.value() or b"{}")
                    order = "session" if alert["reasons"][0]["signal"] == _ORDERED else "none"
                    yield order, now_ms - alert["time_ms"]
