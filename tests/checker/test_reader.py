"""Generator, reader and both command lines against a real Kafka: needs MILLRACE_TEST_BOOTSTRAP=host:port."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from scripts.checker import verify
from scripts.checker.model import DEAD_LETTERS, EVENTS, LATE, SALES, SALES_INSIGHTS, USUAL_DESTINATIONS, Output, Terms
from scripts.checker.oracle import expect
from scripts.checker.reader import TopicReader
from scripts.checker.rules import load_rules
from scripts.shop import generate
from scripts.shop.ledger import read_ledger
from tests.checker.ideal import ideal_outputs, late_ids

BOOTSTRAP = os.environ.get("MILLRACE_TEST_BOOTSTRAP", "")
pytestmark = pytest.mark.skipif(not BOOTSTRAP, reason="needs Kafka: MILLRACE_TEST_BOOTSTRAP=host:port")
WINDOW_MS = 20_000
RULES = """
id: all-activity
version: 1
when: {events: ["*"]}
to: [{topic: session-activity, order: session}]
---
id: high-value
version: 1
when: {events: [order_placed], all: [{path: $.order_placed.total.amount_minor, op: ">", value: 20000}]}
to: [{topic: fraud-detection, order: none}]
"""


def _room(topic: str) -> dict[str, str]:
    """A dead letter is its record and headers: it needs more than the broker's default."""
    return {"max.message.bytes": "2000000"} if topic == DEAD_LETTERS else {}


@pytest.fixture
def prefix() -> str:
    """Fresh topics of two partitions, each under a prefix of its own."""
    name = f"t{uuid.uuid4().hex[:8]}."
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    topics = (EVENTS, LATE, DEAD_LETTERS, SALES, *SALES_INSIGHTS, *USUAL_DESTINATIONS)
    for created in admin.create_topics(
        [NewTopic(name + topic, 2, 1, config={"retention.ms": "-1"} | _room(topic)) for topic in topics]
    ).values():
        created.result()
    return name


def transactional() -> Producer:
    """Keys go to partitions as with any client: what matters is that a key stays in one."""
    config = {"bootstrap.servers": BOOTSTRAP, "transactional.id": uuid.uuid4().hex, "message.max.bytes": 2_000_000}
    producer = Producer({**config, "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    return producer


def test_reads_what_is_committed_and_nothing_else(prefix: str) -> None:
    topic = prefix + "orders"
    producer, other = transactional(), transactional()
    reader = TopicReader(BOOTSTRAP, [topic, prefix + "nowhere"])
    assert reader.missing == [prefix + "nowhere"]
    assert reader.read() == []

    def send(sender: Producer, end: Callable[[], None] | None, *values: bytes) -> None:
        sender.begin_transaction()
        for value in values:
            sender.produce(topic, value, partition=0)
        sender.flush()
        if end:
            end()

    def values(count: int) -> list[bytes | None]:
        """A commit is answered before its markers are in the log, so that a reader may have to look twice."""
        deadline_s, read = time.monotonic() + 10, [message.value() for message in reader.read()]
        while len(read) < count and time.monotonic() < deadline_s:
            read += [message.value() for message in reader.read()]
        return read

    send(producer, producer.commit_transaction, b"a", b"b")
    send(producer, producer.abort_transaction, b"aborted")
    assert values(2) == [b"a", b"b"]
    assert values(0) == []
    send(producer, producer.commit_transaction, b"c")
    send(other, None, b"open")
    send(producer, producer.commit_transaction, b"behind the open one")
    assert values(1) == [b"c"]  # no reader may see past an open transaction
    other.commit_transaction()
    assert values(2) == [b"open", b"behind the open one"]
    reader.close()


def run_job(prefix: str, ledger: Path, rules: Path, change: Callable[[list[Output]], list[Output]]) -> None:
    """A faultless job, but for `change`, that writes in one transaction."""
    terms = Terms(window_ms=WINDOW_MS, topic_prefix=prefix)
    expectation = expect(read_ledger(ledger).entries, load_rules(rules))
    outputs = [
        # Dead letters name the topic with its prefix.
        output._replace(headers=tuple((name, (prefix + EVENTS).encode() if name == "topic" else value) for name, value in output.headers))
        for output in ideal_outputs(expectation, late_ids(expectation, terms), terms)
    ]
    producer = transactional()
    producer.begin_transaction()
    for output in change(outputs):
        producer.produce(prefix + output.topic, output.value, output.key, timestamp=output.timestamp_ms, headers=list(output.headers))
        producer.poll(0)
    producer.commit_transaction(60)


@pytest.mark.parametrize("lost", [0, 1])
def test_from_the_generator_to_the_verdict(prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: int) -> None:
    rules, ledger = tmp_path / "rules", tmp_path / "a.ledger"
    rules.mkdir()
    (rules / "rules.yaml").write_text(RULES)
    options = "--rate max --events 3000 --start-time 2026-11-01 --event-rate 50 --late 0.01 --malformed 0.02 --too-large 0.001 --seed 9"
    common = ["--bootstrap", BOOTSTRAP, "--topic-prefix", prefix]
    assert generate.run([*common, "--ledger", str(ledger), "--json", *options.split()]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["acked"] == made["sent"] == len(read_ledger(ledger).entries) > 3_000
    assert made["malformed"]["too_large"] > 0
    run_job(prefix, ledger, rules, lambda outputs: outputs[lost:])
    for source in (["--ledger", str(ledger)], ["--from-topic"], ["--from-topic", "--ledger", str(ledger)]):
        options = f"--rules {rules} --window-ms {WINDOW_MS} --strict-late --windows-closed all --json --wait 1 --settle 0.5"
        assert verify.run([*common, *options.split(), *source]) == lost
        report = json.loads(capsys.readouterr().out)
        assert [(problem["problem"], problem["count"]) for problem in report["problems"]] == [("lost", 1)] * lost
        assert report["windows"]["equal"] > 50
        assert report["late"] > 5
