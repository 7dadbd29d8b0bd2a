"""What is not as it should be, in words. Pure.

A text holds no age and no time of day: the page writes those, in the reader's time zone and every second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scripts.dashboard_app.bounded import Now
from scripts.dashboard_app.health import Health

_NO_CHECKPOINT_MS: Final = 90_000


@dataclass(frozen=True, slots=True)
class Banner:
    """
    Attributes:
        level: "error" (what is shown is not of now), or "warning".
        since_ms: since when it is so; the page shows for how long.
        as_of_ms: of when the figures are that are shown meanwhile.
    """

    name: str
    level: str
    text: str
    since_ms: int | None = None
    as_of_ms: int | None = None


def banners(health: Health, bootstrap: str, flink_url: str, prefix: str, now: Now) -> list[Banner]:
    """The worst first."""
    return [*_kafka(health, bootstrap), *_flink(health, flink_url), *_job(health, now), *_records(health, prefix)]


def _kafka(health: Health, bootstrap: str) -> list[Banner]:
    if health.kafka.answers is False:
        return [Banner("kafka", "error", f"Kafka at {bootstrap} does not answer", health.kafka.since_ms, health.kafka.last_ms)]
    return []


def _flink(health: Health, flink_url: str) -> list[Banner]:
    if health.flink.answers is False:
        return [Banner("flink", "error", f"Flink at {flink_url} does not answer", health.flink.since_ms, health.flink.last_ms)]
    if health.flink.answers and health.job is None:
        return [Banner("job", "error", f"No job named millrace is known to Flink at {flink_url}")]
    return []


def _job(health: Health, now: Now) -> list[Banner]:
    job = health.job
    if job is None or not health.flink.answers:
        return []
    found = []
    if job.state != "RUNNING":
        found.append(Banner("job", "error", f"The job is {job.state}: nothing new comes out until it runs again"))
    elif job.checkpoint is None and now.ms - job.started_ms > _NO_CHECKPOINT_MS:
        found.append(Banner("checkpoint", "warning", "No checkpoint has completed: exactly-once outputs wait for one", job.started_ms))
    elif job.checkpoint is not None and now.ms - job.checkpoint.completed_ms > _NO_CHECKPOINT_MS:
        text = "The last checkpoint is old: exactly-once outputs wait for the next"
        found.append(Banner("checkpoint", "warning", text, job.checkpoint.completed_ms))
    if job.others:
        text = f"{job.others} more jobs of this name run; shown is the newest. Choose with --job-id"
        found.append(Banner("jobs", "warning", text))
    return found


def _records(health: Health, prefix: str) -> list[Banner]:
    found = []
    if health.offsets and health.offsets.missing:
        names = ", ".join(prefix + topic for topic in health.offsets.missing)
        found.append(Banner("missing", "warning", f"These topics do not exist: {names}"))
    if health.unreadable:
        records = "1 record" if health.unreadable == 1 else f"{health.unreadable:,} records"
        found.append(Banner("unreadable", "warning", f"{records} could not be read; the last: {health.last_unreadable}"))
    return found
