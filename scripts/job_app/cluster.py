"""Jobs of millrace on a Flink cluster, by what Flink and they themselves say of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.error import HTTPError

from jobs.settings import OPTIONS, RELEASE, Settings
from scripts.control.output import CommandError
from scripts.stack.flink import ENDED, Flink


@dataclass(frozen=True)
class Restorable:
    """A savepoint or checkpoint that a job can go on from, and when it was begun (ms since the epoch)."""

    path: str
    kind: str
    time_ms: int


@dataclass(frozen=True)
class JobInfo:
    """One job. Times in ms since the epoch; `ended_ms` is -1 while it has not.

    `options`: of jobs/main.py, as it was started.
    `newest`: what it can go on from.
    """

    job_id: str
    state: str
    started_ms: int
    ended_ms: int
    parallelism: int
    options: tuple[str, ...]
    release: str
    newest: Restorable | None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def group_id(self) -> str:
        return option(self.options, "--group-id") or Settings.group_id

    @property
    def topic_prefix(self) -> str:
        return option(self.options, "--topic-prefix") or ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def option(options: Iterable[str], name: str) -> str | None:
    """The value of an option, of `--name=value` words, the last of which counts; None: not given."""
    found = [each.partition("=")[2] for each in options if each.startswith(name + "=")]
    return found[-1] if found else None


def jobs(flink: Flink) -> list[JobInfo]:
    """All that the cluster knows of, those that have ended too, in the order of their start; others' jobs are left out."""
    found = []
    for each in sorted(flink.rest("/jobs/overview")["jobs"], key=lambda job: job["start-time"]):
        try:
            config = flink.rest(f"/jobs/{each['jid']}/config")
            checkpoints = flink.rest(f"/jobs/{each['jid']}/checkpoints")
        except HTTPError:
            continue  # just made, or just forgotten
        if (info := parse(each, config, checkpoints)) is not None:
            found.append(info)
    return found


def parse(overview: Mapping[str, Any], config: Mapping[str, Any], checkpoints: Mapping[str, Any]) -> JobInfo | None:
    """Flink's answers to /jobs/overview (one of its jobs), /jobs/<id>/config and /jobs/<id>/checkpoints; None: the job is not ours."""
    execution = config["execution-config"]
    told = execution["user-config"]
    if OPTIONS not in told:
        return None
    return JobInfo(
        overview["jid"], overview["state"], overview["start-time"], overview["end-time"], execution["job-parallelism"],
        tuple(json.loads(told[OPTIONS])), told[RELEASE], newest(checkpoints),
    )  # fmt: skip


def newest(checkpoints: Mapping[str, Any]) -> Restorable | None:
    """The youngest completed checkpoint or savepoint that the job has made."""
    latest = checkpoints.get("latest") or {}
    found = [
        Restorable(each["external_path"], kind, each["trigger_timestamp"])
        for kind, each in (("checkpoint", latest.get("completed")), ("savepoint", latest.get("savepoint")))
        if each and not each["external_path"].startswith("<")  # one that is in memory only
    ]
    return max(found, key=lambda each: each.time_ms, default=None)


def running(found: Iterable[JobInfo], job_id: str | None) -> JobInfo:
    """The job that `--job` names by the begin of its id, or the only one; raises CommandError."""
    alive = [each for each in found if not each.ended]
    chosen = [each for each in alive if each.job_id.startswith(job_id or "")]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(f"{each.job_id} (group {each.group_id})" for each in alive) or "none"
    if not chosen:
        raise CommandError(f"no job{f' {job_id}' if job_id else ''} of millrace runs here; running: {there}", 1)
    raise CommandError(f"which one? Name it with --job; running: {there}", 2)


def last_ended(found: Iterable[JobInfo], group_id: str | None) -> JobInfo | None:
    """The job that ended last (of a consumer group), or None."""
    ended = [each for each in found if each.ended and group_id in (None, each.group_id)]
    return max(ended, key=lambda each: each.ended_ms, default=None)
