"""How the pipeline is: its input, its job, and what it could not use. Pure."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final

from scripts.dashboard_app.bounded import OTHER, Now, shortened
from scripts.dashboard_app.flink import JobView, WatermarkLag
from scripts.outputs.rates import Rate
from scripts.outputs.record import Offsets, Record

_MOST_REASONS: Final = 40
_COURSE: Final = 60  # samples, one every _SAMPLE_S
_SAMPLE_S: Final = 5.0
_TASKS_SHOWN: Final = 3
# What had come before the view began is read in a burst, which is no rate of now.
_WARM_UP_S: Final = 8.0


class Answers:
    """Whether somebody who is asked again and again does answer, and since when."""

    def __init__(self) -> None:
        self.answers: bool | None = None  # None: not asked yet
        self.since_ms: int | None = None
        self.last_ms: int | None = None

    def note(self, answers: bool, now: Now) -> None:
        if answers is not self.answers:
            self.answers, self.since_ms = answers, now.ms
        if answers:
            self.last_ms = now.ms


class Health:
    """Changed by what Kafka and Flink say."""

    def __init__(self, now: Now) -> None:
        self._begun = now
        self.kafka, self.flink = Answers(), Answers()
        self.offsets: Offsets | None = None
        self.job: JobView | None = None
        self.unreadable = 0
        self.last_unreadable = ""
        self._lag = WatermarkLag()
        self._late = 0
        self._dead_letters: Counter[str] = Counter()
        self._rates = {name: Rate(window_s) for name, window_s in (("events", 5.0), ("late", 60.0), ("dead_letters", 60.0))}
        self._course: deque[float | None] = deque(maxlen=_COURSE)
        self._sample_due_s = 0.0

    def kafka_said(self, offsets: Offsets, now: Now) -> None:
        self.kafka.note(True, now)
        self.offsets = offsets
        self._rates["events"].sample(now.s, offsets.arrived)

    def flink_said(self, job: JobView | None, now: Now) -> None:
        """None: there is no such job."""
        self.flink.note(True, now)
        self.job = job
        self._lag.observe(job.watermark_ms if job else None, now.ms)

    def observe_late(self) -> None:
        self._late += 1

    def observe_dead_letter(self, record: Record) -> None:
        reason = shortened(record.headers.get("reason", b"").decode(errors="replace"), 60) or "no reason"
        if reason not in self._dead_letters and len(self._dead_letters) >= _MOST_REASONS:
            reason = OTHER
        self._dead_letters[reason] += 1

    def observe_unreadable(self, problem: str) -> None:
        self.unreadable += 1
        self.last_unreadable = shortened(problem, 300)

    def tick(self, now: Now) -> None:
        """To be called about once a second: what the rates are made of."""
        if now.s - self._begun.s >= _WARM_UP_S:
            self._rates["late"].sample(now.s, self._late)
            self._rates["dead_letters"].sample(now.s, self._dead_letters.total())
        if now.s >= self._sample_due_s:
            self._sample_due_s = now.s + _SAMPLE_S
            self._course.append(self.events_per_s(now))

    def events_per_s(self, now: Now) -> float | None:
        return self._rates["events"].per_second(now.s)

    def watermark_lag_ms(self, now: Now) -> int | None:
        return self._lag.lag_ms(now.ms) if self.job and self.flink.answers else None

    def view(self, now: Now, since_ms: int) -> dict[str, Any]:
        """`since_ms`: from when on records were read."""
        job = self.job if self.flink.answers else None
        return {
            "events_per_s": self.events_per_s(now),
            "events_course": list(self._course),
            "lag": self.offsets.lag if self.offsets and self.kafka.answers else None,
            "watermark_lag_ms": self.watermark_lag_ms(now),
            "checkpoint": job.checkpoint if job else None,
            "failed_checkpoints": job.failed_checkpoints if job else None,
            "restarts": job.restarts if job else None,
            "late": {"total": self._late, "per_minute": _per_minute(self._rates["late"], now)},
            "dead_letters": {
                "total": self._dead_letters.total(),
                "per_minute": _per_minute(self._rates["dead_letters"], now),
                "by_reason": [{"reason": reason, "count": count} for reason, count in self._dead_letters.most_common(8)],
            },
            "since_ms": since_ms,
            "busiest": _highest(job, "busy"),
            "backpressured": _highest(job, "backpressured"),
        }


def _per_minute(rate: Rate, now: Now) -> float | None:
    per_second = rate.per_second(now.s)
    return None if per_second is None else per_second * 60


def _highest(job: JobView | None, name: str) -> list[dict[str, Any]]:
    """The tasks with the highest share, highest first."""
    shares = [(task.name, getattr(task, name)) for task in job.tasks] if job else []
    known = sorted((each for each in shares if each[1] is not None), key=lambda each: -each[1])
    return [{"task": shortened(task, 60), "share": share} for task, share in known[:_TASKS_SHOWN]]
