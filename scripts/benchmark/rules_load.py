"""What rules cost: throughput with ten and with a thousand of them, and how soon a change is in force under load."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from confluent_kafka import Consumer, Producer, TopicPartition

from jobs.settings import Topics
from scripts.benchmark.latency import percentile
from scripts.benchmark.traffic import generating
from scripts.stack import Stack, StackError

TOPICS = Topics(prefix="changes.")
_CATEGORIES = ("books", "garden", "toys", "kitchen", "sports", "music", "shoes", "office")
# Five kinds of conditions, as marketing and fraud teams write them: amounts, categories, countries, patterns, lists.
_KINDS = 5


def write_rules(folder: Path, count: int) -> Path:
    """A folder of `count` rules, one file, evenly of five kinds over all event types; each matches few events or none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(yaml.safe_dump_all([_rule(number) for number in range(count)], sort_keys=False))
    return folder


def _rule(number: int) -> dict[str, object]:
    kind, step = number % _KINDS, number // _KINDS
    category = _CATEGORIES[step % len(_CATEGORIES)]
    when: dict[str, object] = [
        {"events": ["order_placed"], "all": [
            {"money": "$.order_placed.total", "op": ">", "amount": f"{1000 + step}.00", "currency": "USD"},
            {"path": "$.source.country", "op": "==", "value": "DE"}]},
        {"events": ["product_viewed"], "all": [
            {"path": "$.product_viewed.category", "op": "==", "value": category},
            {"path": "$.product_viewed.price.amount_minor", "op": ">", "value": 100_000 + step}]},
        {"events": ["product_added_to_cart"], "all": [
            {"path": "$.product_added_to_cart.item.quantity", "op": ">", "value": 50 + step},
            {"path": "$.source.country", "op": "in", "value": ["FR", "IT"]}]},
        {"events": ["product_searched"], "all": [{"path": "$.product_searched.query", "op": "matches", "value": f"^(sale|offer) {step}$"}]},
        {"events": ["order_placed", "order_cancelled"], "all": [
            {"count": "$.order_placed.lines[*]", "op": ">", "value": 100 + step}]},
    ][kind]  # fmt: skip
    return {"id": f"load-{number}", "version": 1, "when": when, "to": [{"topic": "fraud-detection", "order": "none"}]}


@dataclass(frozen=True)
class ChangeTimes:
    """Milliseconds from the push of a change until the last subtask had it in force."""

    changes: int
    p50: float
    p99: float
    slowest: float


def measure_changes(stack: Stack, rate: int, changes: int, group_id: str, *options: str) -> ChangeTimes:
    """Pushes `changes` versions of one rule, one after the other, while the generator runs at `rate` events per second.

    Each subtask says on rules.status when it has compiled a version, by the clock of this machine.
    """
    job_id = stack.submit("--topic-prefix", TOPICS.prefix, "--group-id", group_id, "--start", "latest-offset", *options)
    taken: list[float] = []
    try:
        stack.wait_running(job_id)
        with generating(stack.bootstrap, TOPICS.prefix, rate, 600) as generator:
            time.sleep(20)  # until the JVM has compiled what it runs
            producer = Producer({"bootstrap.servers": stack.bootstrap, "linger.ms": 0})
            answers = _answers(stack.bootstrap, TOPICS.rule_status)
            for version in range(1, changes + 1):
                taken.append(_change(producer, answers, TOPICS.rules, version))
            answers.close()
            generator.terminate()
    finally:
        stack.cancel(job_id)
    return ChangeTimes(len(taken), percentile(taken, 0.5), percentile(taken, 0.99), max(taken))


def _answers(bootstrap: str, topic: str) -> Consumer:
    # read_uncommitted: an answer says when a rule came into force; with exactly-once it is committed up to a checkpoint later.
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": "read_uncommitted",
                         "enable.auto.commit": False, "fetch.wait.max.ms": 5})  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1])])
    return consumer


def _change(producer: Producer, answers: Consumer, topic: str, version: int) -> float:
    rule = {
        "id": "changing", "version": version, "mode": "shadow",
        "when": {"events": ["*"], "all": [{"path": "$.event_time_ms", "op": ">", "value": version}]},
        "to": [{"topic": "orders"}],
    }  # fmt: skip
    pushed_ms = time.time() * 1000
    producer.produce(topic, json.dumps(rule).encode(), b"changing")
    producer.flush(30)
    in_force: dict[int, int] = {}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = answers.poll(0.5)
        if message is None or message.error() is not None:
            continue
        status = json.loads(message.value() or b"{}")
        if (status["rule_id"], status["version"], status["status"]) == ("changing", version, "accepted"):
            in_force[status["subtask"]] = status["time_ms"]
            if len(in_force) == status["parallelism"]:
                return max(in_force.values()) - pushed_ms
    raise StackError(f"version {version} of the rule was not in force on every subtask after 60 s")
