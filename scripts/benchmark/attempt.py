"""Long lists of measurements, unattended: one that fails must not end the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

from scripts.stack import Stack, StackError
from scripts.stack.processes import alive

T = TypeVar("T")


def attempt(stack: Stack, name: str, measure: Callable[[], T]) -> T | str:
    """What `measure` returns, or in one line why it failed; then TaskManagers that have ended are started again.

    Raises:
        StackError: the JobManager or Kafka has ended, so that nothing can be measured any more.
    """
    try:
        return measure()
    except (StackError, OSError, subprocess.CalledProcessError) as error:
        reason = " ".join(str(error).split())[:200]
    print(f"{name}: not measured: {reason}", file=sys.stderr, flush=True)
    for process in [each for each in stack.processes if not alive(each)]:
        if not process.name.startswith("taskmanager"):
            raise StackError(f"{process.name} has ended (log: {process.log}); {name}: {reason}")
        stack.terminate(process.name)
        stack.start_task_manager(process.name)
    return reason
