"""Fraud alerts of the whole job on real Kafka and Flink, judged by scripts/checker/alerts.py, which shares no code with the job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.checker.alerts import check_alerts, expect_alerts
from scripts.shop.fraudsters import Label
from scripts.shop.labels import read_labels
from scripts.shop.ledger import read_ledger
from scripts.stack import Stack
from tests.e2e.harness import Job, order, running_job, wait_until

pytestmark = pytest.mark.e2e

# Limits that no attack of scripts/shop/fraudsters.py keeps to, whatever else it catches.
STRICT: dict[str, tuple[list[str], dict[str, Any]]] = {
    "order-burst": (["order_placed"], {"kind": "velocity", "by": "user", "within": "30m", "over": 5}),
    "card-testing": (["payment_failed"], {"kind": "velocity", "by": "card", "within": "30m", "over": 1}),
    "account-takeover": (["*"], {"kind": "travel", "over": 1_000, "min_km": 1_500}),
    "huge-order": (["order_placed"], {"kind": "deviation", "amount": "$.order_placed.total", "over": 1, "min_count": 3}),
    "many-accounts": (["order_placed"], {"kind": "accounts", "by": "device", "within": "1h", "over": 1}),
    "direct-order": (["order_placed"], {"kind": "no-view"}),
}


def strict_rules(folder: Path) -> Path:
    rules = folder / "rules"
    rules.mkdir()
    documents = [{"id": rule_id, "version": 1, "when": {"events": events, "signal": {**spec, "score": 60}}}
                 for rule_id, (events, spec) in STRICT.items()]  # fmt: skip
    (rules / "strict.yaml").write_text(yaml.safe_dump_all(documents))
    return rules


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Live, at parallelism 2 and with four partitions."""
    folder = tmp_path_factory.mktemp("fraud")
    strict_rules(folder)
    with running_job(stack, "fraud", folder, "--rules", str(folder / "rules"), "--lateness-ms", "2000", "--no-sales",
                     "--no-recommendations") as running:  # fmt: skip
        yield running


def alerts_of(job: Job) -> list[dict[str, Any]]:
    return [json.loads(message.value() or b"") for message in job.read(job.topics.fraud_alerts)]


def flagged_orders(alerts: list[dict[str, Any]], orders: dict[str, str]) -> set[str]:
    """Orders that an alert is about, or counts. `orders`: event id -> order id."""
    about = {alert["order_id"] for alert in alerts}
    return about | {orders[event_id] for alert in alerts for reason in alert["reasons"] for event_id in reason["evidence"]
                    if event_id in orders and reason["signal"] in ("velocity", "accounts")}  # fmt: skip


# So many events of a kind an attack must have for its strict rule to fire whatever else happens: an attack that the generator's
# end cuts short may stay below its limit. Seven failed payments with at most six cards are two with one of them.
CERTAIN: dict[str, tuple[str, int]] = {
    "order-burst": ("order_placed", 6), "card-testing": ("payment_failed", 7), "many-accounts": ("order_placed", 2),
    "direct-order": ("order_placed", 1),
}  # fmt: skip


def certain_orders(labels: list[Label]) -> set[str]:
    """Orders of attacks that must have been noticed."""
    attacks: dict[int, list[Label]] = {}
    for label in labels:
        attacks.setdefault(label.attack, []).append(label)
    found = set()
    for attack in attacks.values():
        kind, least = CERTAIN.get(attack[0].pattern, ("", 1))
        if sum(label.kind == kind for label in attack) >= least:
            found |= {label.order_id for label in attack if label.kind == "order_placed"}
    return found


def test_every_labelled_order_is_alerted_once_whatever_dies(job: Job) -> None:
    """A TaskManager is killed in the middle: what the stages remember is restored, and no alert is lost or made twice."""
    with job.generating("--rate", "1000", "--seed", "31", "--fraud", "0.05", "--late", "0", "--sessions", "400") as ledger:
        wait_until(lambda: len(alerts_of(job)) > 50, "alerts")
        victim = next(each for each in job.stack.processes if each.name.startswith("taskmanager"))
        job.stack.kill(victim.name)
        job.stack.start_task_manager(victim.name)
        wait_until(lambda: job.restarts() > 0, "the restart")
        before = len(alerts_of(job))
        wait_until(lambda: len(alerts_of(job)) > before + 100, "alerts after the restart", 180)
    labels = read_labels(ledger)
    orders = {label.event_id: label.order_id for label in labels if label.kind == "order_placed"}
    certain = certain_orders(labels)
    assert certain
    wait_until(lambda: certain <= flagged_orders(alerts_of(job), orders), f"alerts of all {len(certain)} orders that must be noticed")

    event_ids = expect_alerts(read_ledger(ledger).entries, []).event_ids
    raw = [message.value() or b"" for message in job.read(job.topics.fraud_alerts)]
    assert check_alerts(raw, event_ids, min_score=50) == []


def test_a_limit_changes_while_the_job_runs(job: Job) -> None:
    def ordered(number: int) -> str:
        event = order(2_000, session_id=f"limit-{number}")
        event.user_id = "limit-user"
        job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)
        return event.event_id

    def told(event_id: str) -> list[dict[str, Any]]:
        return [alert for alert in alerts_of(job) if alert["event_id"] == event_id and alert["reasons"][0]["rule_id"] == "order-burst"]

    first = [ordered(number) for number in range(2)]
    events, spec = STRICT["order-burst"]
    changed = {"id": "order-burst", "version": 2, "when": {"events": events, "signal": {**spec, "score": 60, "over": 2}}}
    assert {answer["status"] for answer in job.push_rule(changed)} == {"accepted"}
    third = ordered(2)
    wait_until(lambda: bool(told(third)), "the alert under the new limit")
    (alert,) = told(third)
    assert (alert["reasons"][0]["version"], alert["reasons"][0]["value"], alert["reasons"][0]["limit"]) == (2, 3, 2)
    assert alert["reasons"][0]["evidence"] == [*first, third], "what was remembered under the old limit counts"
    assert not any(told(each) for each in first)
