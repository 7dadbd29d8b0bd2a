"""Event time survives a restore: else what comes first behind one is punctual, however late. And rules do not move it.

Found by chaos: broker-leader-kill and broker-rolling-restart, seed 1.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from shop.v1.events_pb2 import Event

from scripts.stack import Stack
from tests.e2e.harness import RULES_ONLY, Job, header, order, running_job, wait_until

pytestmark = pytest.mark.e2e


def send(job: Job, event: Event) -> None:
    job.produce(job.topics.events, event.session_id.encode(), event.SerializeToString(), event.event_time_ms)


def late_ids(job: Job) -> list[str]:
    return [header(message, "event-id").decode() for message in job.read(job.topics.late)]


def test_what_was_late_before_a_restore_is_late_behind_it(stack: Stack, tmp_path: Path) -> None:
    """
    event time   older   punctual   younger
    arrives        2        1          3         the job is stopped and restored between 1 and 2
    """
    with running_job(stack, "eventtime", tmp_path, *RULES_ONLY) as job:
        punctual = order(200)
        send(job, punctual)
        wait_until(lambda: punctual.event_id in job.routed_ids("orders"), "the first order: the watermark has passed it")

        savepoint = job.stop()
        older = order(300)
        older.event_time_ms = punctual.event_time_ms - 1
        send(job, older)
        job.restore(savepoint, 2)
        wait_until(lambda: older.event_id in late_ids(job) + job.routed_ids("orders"), "the older order")
        assert older.event_id in late_ids(job)

        younger = order(400)
        send(job, younger)
        wait_until(lambda: younger.event_id in job.routed_ids("orders"), "the younger order")
        assert job.routed_ids("orders") == [punctual.event_id, younger.event_id]
        job.verify(None)


def test_rules_do_not_move_event_time_while_no_events_come(stack: Stack, tmp_path: Path) -> None:
    """The rules are all that is heard then: their watermark, if they had one, would be event time."""
    options = ("--no-heartbeat", "--idle-ms", "200", *RULES_ONLY, "--no-fraud")
    with running_job(stack, "quiet", tmp_path, *options) as job:
        first = order(100_000_00, "before")
        send(job, first)
        wait_until(lambda: first.event_id in job.routed_ids("fraud-detection"), "the first order, at once")
        for version in (2, 3, 4):  # each answer takes a checkpoint, and so longer than until the events are idle
            answers = job.push_rule({"id": "quiet", "version": version, "when": {"events": ["order_placed"]}, "to": [{"topic": "orders"}]})
            assert {each["status"] for each in answers} == {"accepted"}

        sent = [order(200, f"after-{number}") for number in range(3)]
        for event in sent:
            send(job, event)

        def in_order() -> bool:
            send(job, order(300, "clock"))  # its time lets the others go
            return {event.event_id for event in sent} <= set(job.routed_ids("orders")) | set(late_ids(job))

        wait_until(in_order, "the orders behind the rules")
        assert late_ids(job) == []
