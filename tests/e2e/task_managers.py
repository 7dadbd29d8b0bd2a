"""More TaskManagers than the stack has, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scripts.stack import Stack
from tests.e2e.harness import wait_until


@contextmanager
def task_managers(stack: Stack, count: int) -> Iterator[None]:
    """At least `count` TaskManagers, while the block runs."""
    before = slots(stack)
    more = [stack.start_task_manager(f"taskmanager-more-{number}") for number in range(count - before)]
    try:
        wait_until(lambda: slots(stack) >= count, "the TaskManagers")
        yield
    finally:
        for each in more:
            stack.terminate(each.name)
        wait_until(lambda: slots(stack) <= before, "the TaskManagers' end")


def slots(stack: Stack) -> int:
    return int(stack.rest("/overview")["slots-total"])
