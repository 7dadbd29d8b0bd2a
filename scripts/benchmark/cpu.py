"""CPU time of a stack's processes, as a whole and by thread."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from scripts.stack import Stack
from scripts.stack.processes import Running

_NUMBER = re.compile(r"[\[#( -]*\d*\]?$")


def total_s(stack: Stack) -> float:
    """CPU seconds of Kafka, JobManager, TaskManagers and their Python workers so far."""
    return seconds(stack.processes)


def seconds(processes: Iterable[Running]) -> float:
    """CPU seconds so far of processes and those that they have started."""
    return float(sum(times.user + times.system for times in _of_all(processes, lambda process: process.cpu_times())))


def memory_bytes(processes: Iterable[Running]) -> int:
    """Resident memory of processes and those that they have started; what two of them share counts twice."""
    return sum(memory.rss for memory in _of_all(processes, lambda process: process.memory_info()))


def _of_all(processes: Iterable[Running], read: Callable[[psutil.Process], Any]) -> Iterator[Any]:
    for running in processes:
        try:
            parent = psutil.Process(running.pid)
            for process in (parent, *parent.children(recursive=True)):
                yield read(process)
        except psutil.NoSuchProcess:
            continue


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


def between(before: Mapping[str, float], after: Mapping[str, float], events: int) -> dict[str, float]:
    """Microseconds of CPU time per event by thread, the costliest first, of two answers of `by_thread_s`."""
    spent = {name: (seconds - before.get(name, 0)) / events * 1e6 for name, seconds in after.items()}
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
