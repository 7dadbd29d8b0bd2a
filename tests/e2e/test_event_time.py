"""Event time survives a restore. Else what comes first behind one is punctual, however late.

Found by chaos: broker-leader-kill, seed 1.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from shop.v1.events_pb2 import Event

from scripts.stack import Stack
from tests.e2e.harness import Job, header, order, running_job, wait_until

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
    with running_job(stack, "eventtime", tmp_path) as job:
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
