"""The state, and the lock under which the readers' threads and the web server use it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from scripts.dashboard_app.bounded import Now
from scripts.dashboard_app.flink import JobView
from scripts.dashboard_app.state import About, DashboardState
from scripts.outputs.record import Offsets, Record

Answer = TypeVar("Answer")


def now() -> Now:
    return Now(time.monotonic(), time.time_ns() // 1_000_000)


class Shared:
    """What the readers tell, and what the web server asks."""

    def __init__(self, about: About, baseline: Mapping[str, str] | None = None) -> None:
        self._about, self._baseline = about, baseline
        self._lock = threading.Lock()
        self._state = DashboardState(about, now(), baseline)

    def records(self, records: Sequence[Record]) -> None:
        with self._lock:
            at = now()
            for record in records:
                self._state.observe(record, at)

    def offsets(self, offsets: Offsets | None) -> None:
        """None: Kafka does not answer."""
        with self._lock:
            if offsets is None:
                self._state.kafka_silent(now())
            else:
                self._state.kafka_said(offsets, now())

    def job(self, job: JobView | None) -> None:
        """None: there is none."""
        with self._lock:
            self._state.flink_said(job, now())

    def no_flink(self) -> None:
        with self._lock:
            self._state.flink_silent(now())

    def forget(self) -> None:
        """Before everything is read once more: what is counted would be counted twice."""
        with self._lock:
            self._state = DashboardState(self._about, now(), self._baseline)

    def sections(self) -> dict[str, Any]:
        with self._lock:
            return self._state.sections(now())

    def ask(self, question: Callable[[DashboardState], Answer]) -> Answer:
        with self._lock:
            return question(self._state)
