"""A job of the released version is upgraded to today's code: its stored savepoint is restored, on the Kafka that it was made on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.stack import Stack, StackError
from tests.e2e.harness import Job, header, order, rules_folder, wait_until
from tests.e2e.released import LAST, OPTIONS, TOPICS, changed_rule, stored, unpack

pytestmark = pytest.mark.e2e

_WHAT_TO_DO = """\
The state of release {version} does not go into today's job: {error}
A user who upgrades would be stopped by this. If an operator only got another name, description or uid: give it the old one. If its state
has to change: bump the version in pyproject.toml, say in docs/CHANGELOG.md how to upgrade (a start without state, or what else), and
run scripts/release-savepoint, which stores a savepoint of the new version."""


def test_todays_code_goes_on_from_the_released_state(stack: Stack, tmp_path: Path) -> None:
    release = unpack(stored(), tmp_path / "kafka")
    with kafka_on(tmp_path / "kafka") as kafka:
        both = replace(stack, kafka_port=kafka.kafka_port, broker_ports=kafka.broker_ports)
        before = _sequence_numbers(Job(both, TOPICS, "", tmp_path))
        try:
            job = Job(both, TOPICS, both.submit(*OPTIONS, savepoint=str(release.savepoint)), tmp_path, OPTIONS, 2)
            both.wait_running(job.job_id)
        except StackError as error:
            pytest.fail(_WHAT_TO_DO.format(version=release.version, error=error))
        try:
            _goes_on(job, before)
            assert job.restarts() == 0
            job.verify(None, rules_folder(tmp_path / "rules", changed_rule()))
        finally:
            both.cancel(job.job_id)


def _goes_on(job: Job, before: dict[str, int]) -> None:
    """Rules, duplicates and numbers are those of the released job."""
    session, seen = LAST
    again = next(each for each in job.read(job.topics.events) if each.key() == session.encode())
    job.produce(job.topics.events, again.key(), again.value(), again.timestamp()[1])
    new = order(20_000, session, "event-of-today")
    elsewhere = order(20_000, max(before, key=before.__getitem__), "event-elsewhere")
    for event in (new, elsewhere):
        job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)
    wait_until(lambda: {new.event_id, elsewhere.event_id} <= set(job.routed_ids("orders")), "today's orders")
    # $200: of high value by the rule that was pushed, and not by the baseline.
    assert {new.event_id, elsewhere.event_id} <= set(job.routed_ids("fraud-detection"))
    assert job.routed_ids("orders").count(seen) == 1, "seen before the savepoint: a duplicate"
    assert seen not in {header(each, "event-id").decode() for each in job.read(job.topics.late)}
    after = _sequence_numbers(job)
    assert (before[session], after[session]) == (1, 2)
    assert after[elsewhere.session_id] > before[elsewhere.session_id] > 10
    started = [json.loads(each.value() or b"{}") for each in job.read(job.topics.rule_status)]
    in_force = {each["version"] for each in started if (each["rule_id"], each["reason"]) == ("high-value-orders", "in force at start")}
    assert changed_rule()["version"] in in_force


def _sequence_numbers(job: Job) -> dict[str, int]:
    """Session -> the highest number that one of its routed events has."""
    numbers: dict[str, int] = {}
    for destination in ("session-activity", "orders"):
        for each in job.read(job.topics.routed()[destination]):
            session = (each.key() or b"").decode()
            numbers[session] = max(numbers.get(session, 0), int(header(each, "session-seq")))
    return numbers


@contextmanager
def kafka_on(workdir: Path) -> Iterator[Stack]:
    """A Kafka on the data that is in `workdir`."""
    kafka = Stack(workdir)
    try:
        kafka.up_kafka()
        yield kafka
    finally:
        kafka.down()
