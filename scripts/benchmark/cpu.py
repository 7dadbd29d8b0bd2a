"""CPU time of a stack's processes, as a whole and by thread."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import psutil

from scripts.stack import Stack

_NUMBER = re.compile(r"[\[#( -]*\d*\]?$")


def total_s(stack: Stack) -> float:
    """CPU seconds of Kafka, JobManager, TaskManagers and their Python workers so far."""
    total = 0.0
    for running in stack.processes:
        try:
            parent = psutil.Process(running.pid)
            for process in (parent, *parent.children(recursive=True)):
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def by_thread_s(stack: Stack) -> dict[str, float]:
    """CPU seconds so far by process and thread; threads whose names differ by numbers only are one.

    A JVM gives its threads' names to the kernel, which keeps 15 characters.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    for running in stack.processes:
        process_name = running.name.rstrip("-0123456789")
        try:
            threads = psutil.Process(running.pid).threads()
        except psutil.NoSuchProcess:
            continue
        for thread in threads:
            try:
                name = Path(f"/proc/{running.pid}/task/{thread.id}/comm").read_text().strip()
            except OSError:  # it has ended
                continue
            seconds[f"{process_name}: {_NUMBER.sub('', name)}"] += thread.user_time + thread.system_time
    return seconds
