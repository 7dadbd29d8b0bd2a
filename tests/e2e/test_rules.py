"""Rules that change, aggregate, mask and survive, on real Kafka and real Flink."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from confluent_kafka import Producer
from shop.v1.events_pb2 import Event

from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import RULES_ONLY, Job, header, now_ms, order, running_job, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    folder = tmp_path_factory.mktemp("rules")
    key = folder / "mask-key"
    key.write_bytes(b"a secret")
    with running_job(stack, "rules", folder, "--mask-key-file", str(key), "--rule-counters-ms", "500", *RULES_ONLY) as running:
        yield running


def send(job: Job, *events: Event) -> None:
    producer = Producer({"bootstrap.servers": job.stack.bootstrap, "partitioner": "murmur2_random"})
    for event in events:
        producer.produce(job.topics.events, event.SerializeToString(), event.session_id.encode(), timestamp=event.event_time_ms)
    assert producer.flush(30) == 0


def view(session_id: str) -> Event:
    event = Event(event_id=f"v-{random.random()}", session_id=session_id, event_time_ms=now_ms())
    event.product_viewed.product_id = "p-1"
    return event


def accepted(job: Job, rule: dict[str, Any]) -> None:
    assert {answer["status"] for answer in job.push_rule(rule)} == {"accepted"}


def is_ordered(job: Job, event: Event) -> bool:
    return event.event_id in job.routed_ids("orders")


def test_200_changes_lose_double_and_reorder_nothing(job: Job) -> None:
    """The two rules that route most events change by turns, while these come. Each version says in other words what the one before
    said: so the checker, which knows rules/ only, must find each event where it belongs, whichever version it met."""
    rules = {rule_id: yaml.safe_load((ROOT / "rules" / f"{rule_id}.yaml").read_text()) for rule_id in ("orders", "session-activity")}
    with job.generating("--rate", "1000", "--for", "600", "--seed", "21", "--late", "0.01", "--duplicates", "0.01") as ledger:
        for number in range(100):
            for rule_id, rule in rules.items():
                version = rule["version"] + 1 + number
                when = rule["when"] | {"all": [{"path": "$.event_time_ms", "op": ">", "value": version}]}
                job.produce(job.topics.rules, rule_id.encode(), json.dumps(rule | {"version": version, "when": when}).encode())
                if number % 10 == 9:
                    wait_until(partial(_is_newest, job, rule_id, version), f"version {version} of {rule_id} on both subtasks")
    job.verify(ledger)
    assert job.restarts() == 0


def _is_newest(job: Job, rule_id: str, version: int) -> bool:
    return _newest(job, rule_id) == {0: version, 1: version}


def _newest(job: Job, rule_id: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for message in job.read(job.topics.rule_status):
        status = json.loads(message.value() or b"{}")
        if status["rule_id"] == rule_id and status["status"] == "accepted":
            found[status["subtask"]] = max(found.get(status["subtask"], 0), status["version"])
    return found


def test_a_rule_that_aggregates(job: Job) -> None:
    """Three orders of one user within a minute, from three sessions, on whichever subtask: the third and the fourth match,
    and a doubled event counts once."""
    accepted(job, {
        "id": "many-orders", "version": 1,
        "when": {"events": ["order_placed"], "aggregate": {"count": "events", "by": "user", "within": "1m", "op": ">", "value": 2}},
        "to": [{"topic": "payments", "order": "none"}],
    })  # fmt: skip
    orders = [order(200, session_id=f"agg-{number}") for number in range(5)]
    for event in orders[:4]:
        event.user_id = "agg-user"
    orders[4].user_id = "another-user"
    for number in (0, 0, 1, 4, 2, 3):
        event = orders[number]
        if event.event_id not in job.routed_ids("orders"):  # else a copy of an event that is there already
            event.event_time_ms = now_ms()
        send(job, event)
        wait_until(partial(is_ordered, job, event), "the order itself")
    wait_until(lambda: orders[3].event_id in job.routed_ids("payments"), "the fourth order")
    mine = [each for each in job.routed_ids("payments") if each in {event.event_id for event in orders}]
    assert sorted(mine) == sorted([orders[2].event_id, orders[3].event_id])

    accepted(job, {
        "id": "many-orders", "version": 2,
        "when": {"events": ["order_placed"], "aggregate": {"count": "events", "by": "user", "within": "1m", "op": ">", "value": 5}},
        "to": [{"topic": "payments", "order": "none"}],
    })  # fmt: skip
    more = [order(200, session_id=f"agg-{number}") for number in range(5, 7)]
    for event in more:
        event.user_id, event.event_time_ms = "agg-user", now_ms()
        send(job, event)
        wait_until(partial(is_ordered, job, event), "the order itself")
    wait_until(lambda: more[1].event_id in job.routed_ids("payments"), "the sixth order: what was counted before stays")
    assert more[0].event_id not in job.routed_ids("payments")


def test_two_rules_that_aggregate_send_an_event_to_a_topic_once(job: Job) -> None:
    for by in ("user", "session"):
        accepted(job, {
            "id": f"first-of-{by}", "version": 1,
            "when": {"events": ["order_cancelled"], "aggregate": {"count": "events", "by": by, "within": "1m", "op": ">", "value": 0}},
            "to": [{"topic": "payments", "order": "none"}, {"topic": "fraud-detection", "order": "none"}],
        })  # fmt: skip
    ids = []
    for number in range(20):
        event = Event(event_id=f"once-{number}-{now_ms()}", session_id=f"once-{number}", user_id="once", event_time_ms=now_ms())
        event.order_cancelled.order_id = "o-1"
        send(job, event)
        ids.append(event.event_id)
    last = Event(event_id=f"last-{now_ms()}", session_id="once-last", user_id="once", event_time_ms=now_ms())
    last.order_cancelled.order_id = "o-1"
    wait_until(lambda: set(ids) <= set(job.routed_ids("payments")), "the events")
    send(job, last)  # in the same partition of the operator as all of this user, behind the second copies of the others
    wait_until(lambda: last.event_id in job.routed_ids("payments"), "the last event")
    for topic in ("payments", "fraud-detection"):
        assert sorted(each for each in job.routed_ids(topic) if each in ids) == sorted(ids)


def test_a_destination_with_a_form_of_its_own(job: Job) -> None:
    accepted(job, {
        "id": "masked", "version": 1, "when": {"events": ["user_signed_in"]},
        "to": [{"topic": "fraud-detection", "order": "none", "key": "$.source.country", "fields": ["event_id", "user_id", "source.country"],
                "mask": ["user_id"]}],
    })  # fmt: skip
    event = Event(event_id=f"masked-{now_ms()}", session_id="masked-session", user_id="jane", event_time_ms=now_ms())
    event.user_signed_in.method = "passkey"
    event.source.country, event.source.ip = "DE", "10.0.0.1"
    send(job, event)
    wait_until(lambda: event.event_id in job.routed_ids("fraud-detection"), "the masked event")
    (message,) = [each for each in job.read(job.topics.routed()["fraud-detection"]) if header(each, "event-id").decode() == event.event_id]
    seen = Event.FromString(message.value() or b"")
    assert message.key() == b"DE"
    assert (seen.event_id, seen.source.country, seen.source.ip, seen.session_id) == (event.event_id, "DE", "", "")
    assert len(seen.user_id) == 32
    assert "jane" not in seen.user_id


def test_counters_of_a_rule_come_on_the_status_topic(job: Job) -> None:
    accepted(job, {
        "id": "watched", "version": 1, "mode": "shadow",
        "when": {"events": ["order_placed"], "all": [{"money": "$.order_placed.total", "op": ">", "amount": "5.00", "currency": "USD"}]},
        "to": [{"topic": "payments"}],
    })  # fmt: skip
    events = [order(100 * number, session_id=f"watched-{number}") for number in range(1, 11)]
    send(job, *events)

    def counted() -> bool:
        send(job, *[view(f"noise-{number}") for number in range(300)])  # counters go out with events, every 64th looks at the clock
        newest = {}
        for message in job.read(job.topics.rule_status):
            status = json.loads(message.value() or b"{}")
            if status["rule_id"] == "watched" and status["status"] == "counted":
                newest[status["subtask"]] = status
        total = {name: sum(each[name] for each in newest.values()) for name in ("evaluated", "matched", "shadow_matched", "errors")}
        return total == {"evaluated": 10, "matched": 0, "shadow_matched": 5, "errors": 0}

    wait_until(counted, "counters: 10 evaluated, 5 of them matches in shadow")
    wait_until(lambda: flink_metric(job, "rule.watched.evaluated") == 10, "the same as a metric of Flink")
    wait_until(lambda: flink_metric(job, "rule.watched.shadowMatched") == 5, "the same as a metric of Flink")
    assert (flink_metric(job, "rule.watched.matched"), flink_metric(job, "rule.watched.errors")) == (0, 0)
    assert flink_metric(job, "rule.watched.timeUs") > 0, "the first events after a push are timed"


def flink_metric(job: Job, name: str) -> int:
    """The sum of a metric of the Python stage over its subtasks."""
    (vertex,) = [each["id"] for each in job.stack.rest(f"/jobs/{job.job_id}")["vertices"] if "decode-and-route" in each["name"]]
    where = f"/jobs/{job.job_id}/vertices/{vertex}/metrics"
    ids = [each["id"] for each in job.stack.rest(where) if each["id"].endswith(f".{name}")]
    return sum(int(each["value"]) for each in job.stack.rest(f"{where}?get={','.join(map(quote, ids))}")) if ids else -1
