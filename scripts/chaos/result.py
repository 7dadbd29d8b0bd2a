"""What came of a cell, and the verdict on it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.chaos.health import Sample, healthy_at
from scripts.chaos.model import Cell


@dataclass
class Done:
    """An act as it happened; times in ms since the epoch.

    `recovered_ms`: the same of checkpoints begun after its begin, before or after its end.
    `healthy_ms`: when all tasks ran and two checkpoints begun after its end were completed; None if the next act came first, or never.
    """

    number: int
    what: str
    begun_ms: int
    ended_ms: int
    out_before: int
    out_after: int
    healthy_ms: int | None = None
    recovered_ms: int | None = None

    @property
    def output_during(self) -> int:
        """Committed records that were seen while it lasted."""
        return self.out_after - self.out_before

    @property
    def seconds(self) -> float:
        return (self.ended_ms - self.begun_ms) / 1000

    @property
    def healthy_s(self) -> float | None:
        """From its end."""
        return None if self.healthy_ms is None else max(0.0, (self.healthy_ms - self.ended_ms) / 1000)

    @property
    def recovered_s(self) -> float | None:
        """From its begin."""
        return None if self.recovered_ms is None else (self.recovered_ms - self.begun_ms) / 1000


@dataclass(frozen=True)
class Check:
    """One thing that had to hold, whether it did, and by what figure."""

    name: str
    ok: bool
    detail: str


@dataclass
class Timeline:
    """By second since the start: records in and out, and how old the newest committed record was (ms)."""

    start_ms: int
    came_in: list[int] = field(default_factory=list)
    came_out: list[int] = field(default_factory=list)
    age_ms: list[int | None] = field(default_factory=list)


@dataclass
class Result:
    """One cell's outcome. `skipped` or `failure` say in words why there are no checks.

    `given_up`: transactions that Flink could not commit after their checkpoint, as its log says.
    """

    cell: str
    seed: int
    acts: list[Done] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    timeline: Timeline | None = None
    verified: dict[str, Any] = field(default_factory=dict)
    restarts: int = 0
    largest_mb: dict[str, int] = field(default_factory=dict)
    rule_pushes: int = 0
    given_up: int = 0
    skipped: str = ""
    failure: str = ""

    @property
    def ok(self) -> bool:
        return not self.failure and (bool(self.skipped) or all(check.ok for check in self.checks))

    @property
    def outcome(self) -> str:
        """One word."""
        if self.skipped:
            return "skipped"
        return "ok" if self.ok else "FAILED"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok, "acts": [self._act(act) for act in self.acts]}

    @staticmethod
    def _act(act: Done) -> dict[str, Any]:
        return {**asdict(act), "healthy_s": act.healthy_s, "recovered_s": act.recovered_s}


def seconds(time_s: float | None) -> str:
    """In words."""
    return "never" if time_s is None else f"{time_s:.1f} s"


def heal(acts: Sequence[Done], samples: Sequence[Sample]) -> None:
    """Sets when each act was healed: before the next one began, or not at all."""
    for index, act in enumerate(acts):
        next_ms = acts[index + 1].begun_ms if index + 1 < len(acts) else None
        healthy_ms, recovered_ms = healthy_at(samples, act.ended_ms), healthy_at(samples, act.begun_ms)
        act.healthy_ms = healthy_ms if healthy_ms is not None and (next_ms is None or healthy_ms <= next_ms) else None
        act.recovered_ms = recovered_ms if recovered_ms is not None and (next_ms is None or recovered_ms <= next_ms) else None


def judge(cell: Cell, result: Result, reader_differences: Sequence[str], rule_in_force: str) -> list[Check]:
    """All checks of a cell.

    Args:
        rule_in_force: "" if the last rule that was pushed is in force on all subtasks, else what is lacking.
    """
    wanted, acts = cell.checks, result.acts
    found = (each for each in result.verified.get("problems", []) if not each["tolerated"])
    problems = [f"{each['count']} {each['problem']} in {each['topic']}" for each in found]
    last = acts[-1]
    detail = "; ".join(problems) or f"{result.verified.get('events', 0):,} events"
    if wanted.loss_reported:
        # Events that are missing make windows and numbers differ as well.
        doubled = any(each["problem"] == "doubled" for each in result.verified.get("problems", []))
        reported = bool(result.verified) and not doubled and (result.given_up > 0 or bool(result.verified["ok"]))
        first = Check("nothing doubled; what is lost is reported", reported, f"{detail}; {result.given_up} transactions given up")
    else:
        first = Check("nothing lost, doubled, reordered or altered", bool(result.verified.get("ok")), detail)
    checks = [
        first,
        Check("both readers saw the same", not reader_differences, "; ".join(reader_differences)),
        Check(
            f"healthy within {wanted.healthy_within_s:g} s",
            last.healthy_s is not None and last.healthy_s <= wanted.healthy_within_s,
            seconds(last.healthy_s),
        ),
        Check("the last rule is in force on all subtasks", not rule_in_force, rule_in_force),
    ]
    if wanted.recovered_within_s is not None:
        times = [act.recovered_s for act in acts]
        within = all(each is not None and each <= wanted.recovered_within_s for each in times)
        checks.append(Check(f"recovered within {wanted.recovered_within_s:g} s", within, ", ".join(map(seconds, times))))
    if wanted.output_during:
        least = min(act.output_during for act in acts)
        checks.append(Check("output while the fault lasts", least > 0, f"{least:,} records"))
    if wanted.same_job:
        checks.append(Check("Flink does not restart the job", result.restarts == 0, f"{result.restarts} restarts"))
    for kind, limit_mb in wanted.max_rss_mb.items():
        held_mb = result.largest_mb.get(kind, 0)
        checks.append(Check(f"{kind} holds at most {limit_mb:,} MB", 0 < held_mb <= limit_mb, f"{held_mb:,} MB"))
    return checks


def last_in_force(answers: Sequence[dict[str, Any]], rule_id: str, version: int, parallelism: int) -> str:
    """What is lacking until `version` of the rule is in force on all subtasks, by their answers; "" if nothing."""
    wanted = (rule_id, version, "accepted")
    accepted = {each["subtask"] for each in answers if (each["rule_id"], each["version"], each["status"]) == wanted}
    missing = sorted(set(range(parallelism)) - accepted)
    return f"version {version} has no answer from subtask {', '.join(map(str, missing))}" if missing else ""
