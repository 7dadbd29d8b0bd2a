"""scripts/millrace rules, the commands that change nothing, on a real Kafka. No job runs: they only read topics."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer
from shop.v1.events_pb2 import Event

from jobs.settings import Topics
from scripts.control import offline
from scripts.control.output import CommandError
from scripts.control.reading import read_record, read_topic
from scripts.stack import Stack
from tests.e2e.harness import order

pytestmark = pytest.mark.e2e

BIG: dict[str, Any] = {
    "id": "high-value-orders",
    "version": 2,
    "when": {"events": ["order_placed"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">", "value": 500}]},
    "to": [{"topic": "fraud-detection", "order": "none"}],
}


@pytest.fixture(scope="module")
def topics(stack: Stack) -> Iterator[Topics]:
    """Twenty orders of 100, 200, … minor units; the last four in an aborted and the others in a committed transaction."""
    topics = Topics(prefix="commands.")
    stack.create_topics(topics)
    orders = [order(100 * number, f"s-{number % 7}", f"e-{number}") for number in range(1, 21)]
    producer = Producer({"bootstrap.servers": stack.bootstrap, "transactional.id": "commands"})
    producer.init_transactions(30)
    _send(producer, topics, orders[:16], commit=True)
    _send(producer, topics, orders[16:], commit=False)
    yield topics


def _send(producer: Producer, topics: Topics, events: list[Event], *, commit: bool) -> None:
    producer.begin_transaction()
    for event in events:
        producer.produce(topics.events, event.SerializeToString(), event.session_id.encode(), timestamp=event.event_time_ms)
    assert producer.flush(30) == 0
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def run(stack: Stack, topics: Topics, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Runs a command with --json; returns the exit code and what it printed."""
    parser = argparse.ArgumentParser()
    offline.add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args([*arguments, "--json", "--bootstrap", stack.bootstrap, "--topic-prefix", topics.prefix])
    code: int = options.run(options)
    return code, json.loads(capsys.readouterr().out)


def test_committed_records_are_read_up_to_the_end(stack: Stack, topics: Topics) -> None:
    records = read_topic(stack.bootstrap, topics.events)
    assert {Event.FromString(each.value or b"").event_id for each in records} == {f"e-{number}" for number in range(1, 17)}
    last = read_topic(stack.bootstrap, topics.events, 5)
    assert len(last) == 5
    assert min(each.time_ms for each in last) >= sorted(each.time_ms for each in records)[-5]
    assert read_topic(stack.bootstrap, topics.late) == []


def test_dry_run_and_explain(stack: Stack, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "big.yaml").write_text(yaml.safe_dump(BIG))
    code, shown = run(stack, topics, capsys, "dry-run", str(tmp_path / "big.yaml"))
    assert (code, shown["events"], shown["changed"]) == (0, 16, 11)
    assert shown["routed"]["fraud-detection"] == {"before": 0, "after": 11}

    record = read_topic(stack.bootstrap, topics.events)[0]
    where = ("--topic", topics.events, "--partition", str(record.partition), "--offset", str(record.offset))
    code, shown = run(stack, topics, capsys, "explain", *where, "--in-force")
    assert (code, shown["event_id"], shown["ordered"]) == (0, Event.FromString(record.value or b"").event_id, ["orders"])


def test_diff_sees_what_is_pushed(stack: Stack, topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, topics, capsys, "diff") == (0, [])
    producer = Producer({"bootstrap.servers": stack.bootstrap})
    producer.produce(topics.rules, json.dumps(BIG).encode(), BIG["id"])
    producer.produce(topics.rules, None, "orders")
    assert producer.flush(30) == 0
    code, shown = run(stack, topics, capsys, "diff")
    assert code == 1
    assert [(each["rule"], each["difference"]) for each in shown] == [("high-value-orders", "changed"), ("orders", "added")]


def test_what_is_not_there_is_said(stack: Stack, topics: Topics) -> None:
    with pytest.raises(CommandError, match=r"there is no topic commands\.nothing"):
        read_topic(stack.bootstrap, f"{topics.prefix}nothing")
    with pytest.raises(CommandError, match=r"commands.events has no partition 99, there are 0, 1, 2, 3"):
        read_record(stack.bootstrap, topics.events, 99, 0)
    with pytest.raises(CommandError, match=r"has no offset 1000000, there are 0 to "):
        read_record(stack.bootstrap, topics.events, 0, 1_000_000)
    with pytest.raises(CommandError, match=r"Kafka at 127.0.0.1:1: "):
        read_topic("127.0.0.1:1", topics.events)
