"""Rules that name topics by a pattern of --destinations, on real Kafka and real Flink."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka.admin import ConfigResource, KafkaAdminClient

from jobs.settings import Topics
from scripts.control.reading import existing_topics
from scripts.stack import Stack
from tests.e2e.harness import RULES_ONLY, Job, header, order, rules_folder, running_job, wait_until
from tests.e2e.test_rule_changes import Control
from udfs.kafka_topics import CONFIG

pytestmark = pytest.mark.e2e

DESTINATIONS = ",".join((*Topics.destinations, "campaign*"))


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Its baseline too names a topic that is not there yet."""
    folder = tmp_path_factory.mktemp("topics")
    baseline = rules_folder(folder / "baseline", rule("campaign.start", "start", events=["user_signed_in"]))
    with running_job(stack, "topics", folder, "--destinations", DESTINATIONS, "--rules", str(baseline), *RULES_ONLY) as running:
        yield running


@pytest.fixture
def control(job: Job, tmp_path: Path) -> Control:
    return Control(job, tmp_path)


def rule(topic: str, rule_id: str, version: int = 1, events: list[str] | None = None) -> dict[str, Any]:
    return {"id": rule_id, "version": version, "when": {"events": events or ["order_cancelled"]}, "to": [{"topic": topic, "order": "none"}]}


def exists(job: Job, topic: str) -> bool:
    return job.topics.prefix + topic in existing_topics(job.stack.bootstrap)


def test_a_topic_is_made_on_the_push(job: Job, control: Control, tmp_path: Path) -> None:
    """And what goes there arrives once: the checker reads it like any other destination."""
    spring = rule("campaign.spring", "spring")
    assert not exists(job, "campaign.spring")
    told = control.run("push", control.file(spring), "--destinations", DESTINATIONS)
    assert "in force after" in told
    assert "campaign.spring: there was no such topic, the job makes it" in told
    assert exists(job, "campaign.spring")

    ledger = job.generate("--rate", "1500", "--for", "15", "--seed", "31", "--late", "0.01", "--duplicates", "0.02")
    start = rule("campaign.start", "start", events=["user_signed_in"])
    job.verify(ledger, rules_folder(tmp_path / "rules", spring, start))
    assert len(job.read(job.topics.prefix + "campaign.spring")) > 20
    assert len(job.read(job.topics.prefix + "campaign.start")) > 20
    assert job.restarts() == 0


def test_what_a_topic_is_made_with(job: Job) -> None:
    """Old events must not be deleted, and those near the broker's limit must fit."""
    topic = job.topics.prefix + "campaign.start"
    admin = KafkaAdminClient(bootstrap_servers=job.stack.bootstrap)
    try:
        found = admin.describe_configs([ConfigResource("TOPIC", topic)])["topic"][topic]
    finally:
        admin.close()
    assert {name: each["value"] for name, each in found.items() if name in CONFIG} == CONFIG


def test_a_topic_that_is_there_is_taken(job: Job, control: Control) -> None:
    told = control.run("push", control.file(rule("campaign.spring", "again", events=["order_placed"])), "--destinations", DESTINATIONS)
    assert "in force after" in told
    assert "no such topic" not in told
    event = order(200)
    job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)
    campaign = job.topics.prefix + "campaign.spring"
    wait_until(lambda: event.event_id in [header(each, "event-id").decode() for each in job.read(campaign)], "the order")


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("sales.spring", "to[0].topic is 'sales.spring', allowed are orders, payments, session-activity, fraud-detection, campaign*"),
        ("events", "to[0].topic is 'events', a topic of the job itself, allowed are"),
        # Kafka takes no two topics of which the names differ in dots and underscores only.
        ("campaign_spring", "to[0].topic is 'campaign_spring', which does not exist and can't be made: InvalidTopicError"),
    ],
)
def test_a_topic_that_can_t_be_is_rejected(job: Job, topic: str, reason: str) -> None:
    """By all subtasks for the same reason; and the job goes on."""
    answers = job.push_rule(rule(topic, "refused"))
    assert [(each["status"], each["reason"][: len(reason)]) for each in answers] == [("rejected", reason)] * 2
    assert topic == "events" or not exists(job, topic)
    assert job.restarts() == 0


def test_a_rejected_push_is_taken_back(control: Control) -> None:
    told = control.run("push", control.file(rule("campaign_spring", "taken-back")), "--destinations", DESTINATIONS, code=1)
    assert "can't be made: InvalidTopicError" in told
    assert "taken-back: taken back" in told
    assert yaml.safe_load(control.run("export", "--destinations", DESTINATIONS).split("---")[0])["id"] == "again"
