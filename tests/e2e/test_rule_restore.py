"""Rules outlive the job: stopped with a savepoint and restored at another parallelism, while events go on coming."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka.admin import KafkaAdminClient

from jobs.settings import Topics
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import RULES_ONLY, Job, header, now_ms, order, rules_folder, running_job, wait_until

pytestmark = pytest.mark.e2e

SUMS = {
    "id": "sums", "version": 1,
    "when": {
        "events": ["order_placed"], "all": [{"path": "$.user_id", "op": "==", "value": "summed"}],
        "aggregate": {"count": "events", "by": "user", "within": "30m", "op": ">", "value": 3},
    },
    "to": [{"topic": "extra.sums", "order": "none"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    destinations = ",".join((*Topics.destinations, "extra.*"))
    heap = ("--order-heap-bytes", "100000")  # some of what waits for its turn is in the state, and some is not
    options = (*RULES_ONLY, "--destinations", destinations, *heap)
    with running_job(stack, "restored", tmp_path_factory.mktemp("restored"), *options) as running:
        yield running


def baseline(rule_id: str, **changes: Any) -> dict[str, Any]:
    rule: dict[str, Any] = yaml.safe_load((ROOT / "rules" / f"{rule_id}.yaml").read_text())
    return rule | changes


def all_have_started(job: Job, since_ms: int) -> bool:
    return len(in_force_at_start(job, since_ms)) == job.parallelism


def order_of_the_summed_user(job: Job, number: int) -> str:
    """Sends one, from a session of its own, and waits until it is through; returns its event id."""
    event = order(200, session_id=f"summed-{number}")
    event.user_id, event.event_time_ms = "summed", now_ms()
    job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)
    wait_until(lambda: event.event_id in job.routed_ids("orders"), f"order {number}", 180)
    return event.event_id


def in_force_at_start(job: Job, since_ms: int) -> dict[int, dict[str, int]]:
    """Subtask -> rule id -> version, as told by the job that started then."""
    found: dict[int, dict[str, int]] = {}
    for message in job.read(job.topics.rule_status):
        status = json.loads(message.value() or b"{}")
        if status["time_ms"] >= since_ms and status["reason"] == "in force at start":
            assert (status["status"], status["parallelism"]) == ("accepted", job.parallelism)
            found.setdefault(status["subtask"], {})[status["rule_id"]] = status["version"]
    return found


def test_rules_survive_a_savepoint_and_a_rescale(job: Job, tmp_path: Path) -> None:
    """Parallelism 2 -> 1 -> 2. Of the baseline, one rule was changed, one deleted and one paused; another one sums.

    In between, the topic of that one is deleted as well: the restored job makes it again, and does not fail for ever.
    """
    over_100 = baseline("high-value-orders", version=2)
    over_100["when"]["all"][0]["value"] = 10_000
    for rule in (over_100, baseline("failed-payments", version=3, mode="paused"), SUMS):
        assert {each["status"] for each in job.push_rule(rule)} == {"accepted"}
    since_ms = now_ms()
    job.produce(job.topics.rules, b"payments", None)
    assert {each["status"] for each in job.statuses("payments", since_ms)} == {"deleted"}
    versions = {path.stem: baseline(path.stem)["version"] for path in (ROOT / "rules").glob("*.yaml")}
    versions |= {"high-value-orders": 2, "failed-payments": 3, "sums": 1}
    del versions["payments"]

    with job.generating("--rate", "300", "--for", "900", "--seed", "41", "--duplicates", "0.01") as ledger:
        sent = [order_of_the_summed_user(job, number) for number in range(2)]
        for parallelism in (1, 2):
            savepoint = job.stop()
            if parallelism == 1:
                delete_topic(job, "extra.sums")
            since_ms = now_ms()
            job.restore(savepoint, parallelism)
            wait_until(partial(all_have_started, job, since_ms), "all subtasks", 180)
            assert in_force_at_start(job, since_ms) == dict.fromkeys(range(parallelism), versions)
            sent.append(order_of_the_summed_user(job, len(sent)))
        sent.append(order_of_the_summed_user(job, len(sent)))
        assert job.restarts() == 0

    job.verify(ledger, rules_folder(tmp_path / "rules", over_100, without=("payments", "failed-payments")), from_topic=True)
    sums = [header(each, "event-id").decode() for each in job.read(job.topics.prefix + "extra.sums")]
    assert sums == sent[3:], "the fourth and the fifth: what was summed before each stop counts"
    assert {each["status"] for each in job.push_rule(baseline("payments"))} == {"stale"}, "the deletion is remembered"


def delete_topic(job: Job, destination: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=job.stack.bootstrap)
    try:
        admin.delete_topics([job.topics.prefix + destination])
    finally:
        admin.close()
