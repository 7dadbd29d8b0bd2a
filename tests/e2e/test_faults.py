"""What must not stop the job or lose an event: broken input, and a TaskManager that dies."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from confluent_kafka import Producer

from scripts.stack import Stack
from tests.e2e.harness import Job, order, running_job, wait_until

pytestmark = pytest.mark.e2e


def test_mutated_events_never_stop_the_job(stack: Stack, tmp_path: Path) -> None:
    """100,000 mutated values: each ends as a dead letter or as a valid event, and the job never restarts (a third is not changed)."""
    with running_job(stack, "mutated", tmp_path) as job:
        randomness = random.Random(7)
        producer = Producer({"bootstrap.servers": stack.bootstrap, "linger.ms": 20})
        for index in range(100_000):
            # Ids far from each other: of two contents with one id, nobody can say which should come out.
            event = order(randomness.randrange(10**6), f"s-{index % 500}", f"{randomness.getrandbits(64):016x}")
            value = bytearray(event.SerializeToString())
            for _ in range(randomness.randrange(3)):
                at = randomness.randrange(len(value) + 1)
                match randomness.randrange(3):
                    case 0:
                        value[at : at + 1] = randomness.randbytes(1)
                    case 1:
                        del value[at:]
                    case _:
                        value[at:at] = randomness.randbytes(randomness.randrange(1, 9))
            producer.produce(job.topics.events, bytes(value), event.session_id, timestamp=event.event_time_ms)
            producer.poll(0)
            if index % 10_000 == 0:
                producer.flush(60)
        assert producer.flush(60) == 0
        job.verify(None)
        assert job.restarts() == 0
        assert len(job.read(job.topics.dead_letters)) > 10_000


def test_nothing_is_lost_when_a_task_manager_is_killed(stack: Stack, tmp_path: Path) -> None:
    """Also: thread mode's interpreter loads again in a TaskManager that stays (FLINK-37727)."""
    with running_job(stack, "killed", tmp_path) as job:
        with job.generating("--rate", "1500", "--seed", "5") as ledger:
            _kill_a_task_manager(job)
        job.verify(ledger)


def test_a_module_that_is_first_needed_after_a_restart_is_found(tmp_path: Path) -> None:
    """In thread mode the interpreter stays, and the folder of the code that it has imported goes with the job."""
    with Stack(tmp_path / "stack") as fresh:
        with running_job(fresh, "some", tmp_path, "--no-heartbeat", "--no-sales", "--no-fraud", "--no-recommendations"):
            pass
        with running_job(fresh, "all", tmp_path) as job:
            assert job.restarts() == 0


def _kill_a_task_manager(job: Job) -> None:
    stack = job.stack
    victim = next(each for each in stack.processes if each.name.startswith("taskmanager"))
    routed = len(job.routed_ids("session-activity"))
    stack.kill(victim.name)
    stack.start_task_manager(victim.name)
    wait_until(lambda: job.restarts() > 0, "the restart")
    wait_until(lambda: len(job.routed_ids("session-activity")) > routed + 3000, "output after the restart", 180)
