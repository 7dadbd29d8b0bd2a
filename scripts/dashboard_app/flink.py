"""The job as Flink's REST interface tells of it: which one, how it is, and how far its event time is. Parsing is pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from scripts.outputs.flink import Checkpoint, FlinkRest, NoAnswer, last_checkpoint, restarts

JOB_NAME: Final = "millrace"
_TASK_METRICS: Final = "currentInputWatermark,busyTimeMsPerSecond,backPressuredTimeMsPerSecond"
_SINK: Final = re.compile(r"(\w+)\[\d+\]: Writer")
_NUMBER_OF_NODE: Final = re.compile(r"\[\d+\]")
_ENDED: Final = ("CANCELED", "FINISHED", "FAILED", "SUSPENDED")
_MOST_TASKS: Final = 100
# One question for each task, of which a job has dozens: not every time.
_TASKS_EVERY_MS: Final = 5_000
# Flink fetches its tasks' metrics every few seconds (metrics.fetcher.update-interval): the same watermark means only that it is old.
_SAME_WATERMARK_MS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Task:
    """`busy` and `backpressured` are shares of the time (0-1) of its worst subtask; None where Flink has none."""

    name: str
    watermark_ms: int | None
    busy: float | None
    backpressured: float | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job. `sinks`: the tables that it writes to; `others`: how many more jobs of this name run."""

    job_id: str
    state: str
    started_ms: int
    checkpoint: Checkpoint | None
    failed_checkpoints: int
    restarts: int | None
    sinks: frozenset[str]
    tasks: tuple[Task, ...]
    others: int = 0

    @property
    def watermark_ms(self) -> int | None:
        """How far event time has come in the task that is farthest behind."""
        return min((task.watermark_ms for task in self.tasks if task.watermark_ms is not None), default=None)


class FlinkWatch:
    """Finds the job anew each time: after an upgrade it is another one."""

    def __init__(self, rest: FlinkRest, job_id: str | None = None) -> None:
        """`job_id`: this job and no other."""
        self._rest, self._job_id = rest, job_id
        self._tasks: tuple[str, list[list[Mapping[str, Any]]]] = ("", [])  # of a job: the metrics of each task
        self._tasks_due_ms = 0

    def ask(self, now_ms: int) -> JobView | None:
        """None: Flink answers, and has no such job. Raises NoAnswer."""
        get = self._rest.get
        try:
            job_id, others = choose(get("/jobs/overview"), self._job_id)
            if job_id is None:
                return None
            path = f"/jobs/{quote(job_id, safe='')}"
            job = get(path)
            if self._tasks[0] != job_id or now_ms >= self._tasks_due_ms:
                self._tasks = job_id, self._ask_tasks(path, job)
                self._tasks_due_ms = now_ms + _TASKS_EVERY_MS
            return parse_job(job, get(f"{path}/checkpoints"), get(f"{path}/metrics?get=numRestarts"), self._tasks[1], others, now_ms)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NoAnswer(f"{self._rest.url} is not what Flink answers: {error!r}") from error

    def _ask_tasks(self, path: str, job: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
        """Flink has no answer for all tasks at once."""
        ids = [str(vertex["id"]) for vertex in job["vertices"]][:_MOST_TASKS]
        return [self._rest.get(f"{path}/vertices/{quote(each)}/subtasks/metrics?get={_TASK_METRICS}&agg=min,max") for each in ids]


def choose(overview: Mapping[str, Any], job_id: str | None) -> tuple[str | None, int]:
    """Of the jobs named as ours (or with this id) the one that runs, else the last one; and how many more run."""
    jobs = [job for job in overview["jobs"] if (job["jid"] == job_id if job_id else job["name"] == JOB_NAME)]
    if not jobs:
        return None, 0
    running = [job for job in jobs if job["state"] not in _ENDED]
    newest = max(running or jobs, key=lambda job: int(job["start-time"]))
    return str(newest["jid"]), max(0, len(running) - 1)


def parse_job(
    job: Mapping[str, Any],
    checkpoints: Mapping[str, Any],
    metrics: list[Mapping[str, Any]],
    task_metrics: Sequence[list[Mapping[str, Any]]],
    others: int,
    now_ms: int,
) -> JobView:
    """The answers of /jobs/<id>, …/checkpoints, …/metrics and …/vertices/<id>/subtasks/metrics of each vertex in one.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: an answer is not Flink's.
    """
    names = [str(vertex["name"]) for vertex in job["vertices"]]
    return JobView(
        job_id=str(job["jid"]),
        state=str(job["state"]),
        started_ms=int(job["start-time"]),
        checkpoint=last_checkpoint(checkpoints),
        failed_checkpoints=int(checkpoints["counts"]["failed"]),
        restarts=restarts(metrics),
        sinks=frozenset(sink for name in names for sink in _SINK.findall(name)),
        tasks=tuple(_task(name, found, now_ms) for name, found in zip(names, task_metrics, strict=False)),
        others=others,
    )


def _task(name: str, metrics: list[Mapping[str, Any]], now_ms: int) -> Task:
    values = {metric["id"]: metric for metric in metrics}
    watermark = _number(values.get("currentInputWatermark", {}).get("min"))
    # The smallest long: none yet. Far in the future: of rules, or of a job that has ended.
    known = watermark is not None and 0 < watermark < now_ms + 86_400_000
    return Task(
        name=_NUMBER_OF_NODE.sub("", name.split(" -> ", maxsplit=1)[0].removeprefix("Source: ")),
        watermark_ms=int(watermark) if known and watermark is not None else None,
        busy=_share(values.get("busyTimeMsPerSecond", {}).get("max")),
        backpressured=_share(values.get("backPressuredTimeMsPerSecond", {}).get("max")),
    )


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)


def _share(value: Any) -> float | None:
    """Milliseconds a second as a share."""
    number = _number(value)
    return None if number is None else min(1.0, number / 1000)


class WatermarkLag:
    """How far event time is behind the clock, from samples that Flink takes only every few seconds."""

    def __init__(self) -> None:
        self._watermark_ms: int | None = None
        self._seen_ms = 0

    def observe(self, watermark_ms: int | None, now_ms: int) -> None:
        if watermark_ms != self._watermark_ms:
            self._watermark_ms, self._seen_ms = watermark_ms, now_ms

    def lag_ms(self, now_ms: int) -> int | None:
        """The lag when the watermark was last seen to move; if that is long ago, it stands still, and the lag grows."""
        if self._watermark_ms is None:
            return None
        as_of_ms = self._seen_ms if now_ms - self._seen_ms < _SAME_WATERMARK_MS else now_ms
        return max(0, as_of_ms - self._watermark_ms)
