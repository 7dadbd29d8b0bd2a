"""How the pipeline is now: asked as the dashboard asks, for a few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final

from rich.text import Text

from jobs.settings import Topics
from scripts.control.in_force import RuleTexts
from scripts.dashboard_app.banners import banners
from scripts.dashboard_app.flink import FlinkWatch
from scripts.dashboard_app.readers import Readers
from scripts.dashboard_app.shared import Shared, now
from scripts.dashboard_app.state import About, DashboardState
from scripts.operate.show import Line, labelled, length
from scripts.outputs.feed import KafkaFeed, Start
from udfs.kafka_client import Brokers

BACK_S: Final = 1_800.0
"""Late events and dead letters of so long ago until now are counted."""
_TOPICS: Final = Topics()
_COUNTED: Final = {_TOPICS.late: Start(BACK_S), _TOPICS.dead_letters: Start(BACK_S)}
_POLL_S: Final = 0.2


@dataclass(frozen=True)
class Status:
    """What a status command tells. `rules`: None without Kafka."""

    view: dict[str, Any]
    problems: list[dict[str, Any]]
    job: dict[str, Any] | None
    kafka_answers: bool
    flink_answers: bool
    rules: list[dict[str, Any]] | None = None

    def with_rules(self, rules: list[dict[str, Any]]) -> Status:
        return replace(self, rules=rules)

    @property
    def exit_code(self) -> int:
        """0: all is well; 1: something is not; 2: Kafka or Flink does not answer."""
        if not (self.kafka_answers and self.flink_answers):
            return 2
        return 1 if self.problems or self.job is None else 0

    def as_json(self) -> dict[str, Any]:
        view = {name: value for name, value in self.view.items() if name not in ("events_course", "checkpoint")}
        checkpoint = self.view["checkpoint"]
        told = checkpoint and {"number": checkpoint.number, "completed_ms": checkpoint.completed_ms, "duration_ms": checkpoint.duration_ms}
        return {"job": self.job, "kafka_answers": self.kafka_answers, "flink_answers": self.flink_answers, "checkpoint": told,
                "problems": self.problems, "rules": self.rules} | view  # fmt: skip


def observe(about: About, brokers: Brokers | str, group_id: str, watch: FlinkWatch, seconds: float) -> Status:
    """Looks for so many seconds: a rate needs two looks, and who does not answer must be waited for."""
    shared = Shared(about)

    def feed() -> KafkaFeed:
        return KafkaFeed(brokers, about.topic_prefix, group_id, _COUNTED, shared.records, shared.offsets)

    with Readers(shared, feed, watch):
        begun = time.monotonic()
        while True:
            time.sleep(_POLL_S)
            known = shared.ask(lambda state: state.health.events_per_s(now()) is not None and state.health.flink.answers is not None)
            if (known and time.monotonic() - begun >= seconds) or time.monotonic() - begun >= seconds + 5:
                return shared.ask(lambda state: _status(state, about))


def _status(state: DashboardState, about: About) -> Status:
    at, health = now(), state.health
    job = health.job if health.flink.answers else None
    found = banners(health, about.bootstrap, about.flink_url, about.topic_prefix, at)
    return Status(
        health.view(at, at.ms - int(BACK_S * 1000)),
        [{"name": each.name, "level": each.level, "text": each.text} for each in found],
        {"id": job.job_id, "state": job.state, "started_ms": job.started_ms} if job else None,
        bool(health.kafka.answers),
        bool(health.flink.answers),
    )


def rules_view(in_force: RuleTexts) -> list[dict[str, Any]]:
    """The rules in force, by id."""
    return [
        {"id": rule.id, "version": rule.version, "mode": rule.mode if rule.enabled else "disabled", "to": [each.topic for each in rule.to]}
        for _, (rule, _) in sorted(in_force.items())
    ]


def lines(status: Status, now_ms: int) -> list[Line]:
    """For people."""
    view, job, checkpoint = status.view, status.job, status.view["checkpoint"]
    shown: list[Line] = []
    if job is None:
        shown.append(labelled("job", "none is known" if status.flink_answers else "unknown", "bold red"))
    else:
        style = "green" if job["state"] == "RUNNING" else "bold red"
        shown.append(labelled("job", f"{job['state']}, started {length(now_ms - job['started_ms'])} ago, {job['id']}", style))
    shown.append(labelled("throughput", "-" if view["events_per_s"] is None else f"{view['events_per_s']:,.0f} events/s in"))
    shown.append(labelled("consumer lag", "-" if view["lag"] is None else f"{view['lag']:,} events behind the last checkpoint's offsets"))
    shown.append(labelled("watermark lag", length(view["watermark_lag_ms"])))
    if checkpoint is None:
        shown.append(labelled("checkpoints", "-"))
    else:
        failed = view["failed_checkpoints"]
        age, took = length(now_ms - checkpoint.completed_ms), length(checkpoint.duration_ms)
        text = f"number {checkpoint.number:,} completed {age} ago, took {took}; {failed} failed"
        shown.append(labelled("checkpoints", text, "yellow" if failed else ""))
    restarts = view["restarts"]
    shown.append(labelled("restarts", "-" if restarts is None else str(restarts), "yellow" if restarts else ""))
    for name, label in (("late", "late"), ("dead_letters", "dead letters")):
        text = f"{view[name]['total']:,} in the last {BACK_S / 60:.0f} minutes"
        reasons = ", ".join(f"{each['reason']} {each['count']:,}" for each in view[name].get("by_reason", ()))
        shown.append(labelled(label, f"{text}: {reasons}" if reasons else text))
    shown += _busy(view)
    if status.rules is not None:
        modes = [each["mode"] for each in status.rules]
        counts = ", ".join(f"{modes.count(mode)} {mode}" for mode in dict.fromkeys(sorted(modes)))
        shown.append(labelled("rules in force", f"{len(modes)}: {counts}" if modes else "none"))
    for each in status.problems:
        shown.append(Text.assemble((f"{each['level']}: ", "bold red" if each["level"] == "error" else "yellow"), each["text"]))
    return shown


def _busy(view: dict[str, Any]) -> list[Line]:
    worst = [each for each in view["busiest"] if each["share"] is not None][:1]
    held = [each for each in view["backpressured"] if each["share"] is not None and each["share"] > 0.05][:1]
    found: list[Line] = [labelled("busiest task", f"{each['task']} {each['share']:.0%}") for each in worst]
    return found + [labelled("backpressured", f"{each['task']} {each['share']:.0%}", "yellow") for each in held]
