"""When the job was healthy, and how much memory the processes held: polled in the background, judged afterwards by pure functions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

import psutil

from scripts.stack.processes import Running, alive

_POLL_S: Final = 0.5
_TIMEOUT_S: Final = 2.0
_MB: Final = 2**20


@dataclass(frozen=True)
class Sample:
    """The job at one moment. `checkpoints`: when each completed one of the last few was triggered, ms since the epoch."""

    time_ms: int
    running: bool
    checkpoints: tuple[int, ...] = ()
    restarts: int = 0
    job_id: str = ""


def healthy_at(samples: Sequence[Sample], since_ms: int, checkpoints: int = 2) -> int | None:
    """When all tasks ran and so many checkpoints begun after `since_ms` had been completed; None: not yet."""
    for sample in samples:
        if sample.time_ms >= since_ms and sample.running and sum(begun >= since_ms for begun in sample.checkpoints) >= checkpoints:
            return sample.time_ms
    return None


def restarts(samples: Sequence[Sample]) -> int:
    """How often Flink restarted the job, over all ids that it had."""
    by_job: dict[str, int] = {}
    for sample in samples:
        by_job[sample.job_id] = max(by_job.get(sample.job_id, 0), sample.restarts)
    return sum(by_job.values())


def parse(job_id: str, time_ms: int, job: Any, checkpoints: Any, metrics: Any) -> Sample:
    """Flink's answers to /jobs/<id>, /jobs/<id>/checkpoints and /jobs/<id>/metrics?get=numRestarts."""
    running = bool(job["vertices"]) and job["state"] == "RUNNING" and all(task["status"] == "RUNNING" for task in job["vertices"])
    completed = tuple(int(each["trigger_timestamp"]) for each in checkpoints["history"] if each["status"] == "COMPLETED")
    count = next((int(metric["value"]) for metric in metrics if metric["id"] == "numRestarts"), 0)
    return Sample(time_ms, running, completed, count, job_id)


@dataclass
class Watch:
    """Polls Flink's REST interface and the processes' memory, in a thread.

    Attributes:
        rest_url: gives where Flink answers now: it changes when a standby JobManager takes over.
        job_id: gives the id of the job of now: it changes when the job is submitted again.
        processes: gives those that run now.
        largest_mb: kind of process -> the most resident memory that one held, its children included.
    """

    rest_url: Callable[[], str]
    job_id: Callable[[], str]
    processes: Callable[[], Sequence[Running]]
    samples: list[Sample] = field(default_factory=list)
    largest_mb: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._opener = build_opener(ProxyHandler({}))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def wait_healthy(self, since_ms: int, seconds: float) -> int | None:
        """Waits until the job is healthy again; returns when it was, ms since the epoch, or None if time is up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # Samples of before can't count: the search may begin where the last one ended, but there are few of them.
            if (found := healthy_at(list(self.samples), since_ms)) is not None:
                return found
            time.sleep(_POLL_S)
        return None

    def _run(self) -> None:
        while not self._ended.wait(_POLL_S):
            self.samples.append(self._sample())
            for process in list(self.processes()):
                if alive(process):
                    kind = process.name.split("-")[0]
                    self.largest_mb[kind] = max(self.largest_mb.get(kind, 0), _resident_mb(process.pid))

    def _sample(self) -> Sample:
        job_id = self.job_id()
        path = f"{self.rest_url()}/jobs/{job_id}"
        try:
            return parse(job_id, now_ms(), self._get(path), self._get(path + "/checkpoints"), self._get(path + "/metrics?get=numRestarts"))
        except (OSError, HTTPException, ValueError, KeyError):  # the JobManager is away, or does not know the job yet
            return Sample(now_ms(), running=False, job_id=job_id)

    def _get(self, url: str) -> Any:
        with self._opener.open(url, timeout=_TIMEOUT_S) as answer:
            return json.loads(answer.read())


def _resident_mb(pid: int) -> int:
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        return total // _MB
    return total // _MB


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
