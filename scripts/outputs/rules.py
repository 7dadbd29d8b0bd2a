"""Which rules are in force, as told by the job's subtasks one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scripts.outputs.record import Record, Unreadable

ACCEPTED: Final = "accepted"
DELETED: Final = "deleted"
COUNTED: Final = "counted"  # no update: the counters of a rule in force
_REFUSED: Final = ("rejected", "stale")


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """What one subtask made of one rule update; the counters are 0 unless `status` is counted."""

    rule_id: str
    version: int
    status: str
    reason: str
    subtask: int
    parallelism: int
    evaluated: int = 0
    matched: int = 0
    shadow_matched: int = 0
    errors: int = 0


def decode_status(record: Record) -> RuleStatus:
    """Raises Unreadable."""
    fields = record.json()
    status = RuleStatus(
        fields.text("rule_id"), fields.integer("version"), fields.text("status"),
        fields.text("reason"), fields.integer("subtask"), fields.integer("parallelism"),
        *(fields.integer(name, 0) for name in ("evaluated", "matched", "shadow_matched", "errors")),
    )  # fmt: skip
    if status.status not in (ACCEPTED, DELETED, COUNTED, *_REFUSED):
        raise Unreadable(record, f"status is {status.status!r:.60}, must be accepted, rejected, stale, deleted or counted")
    return status


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule, the highest version that a subtask has accepted, and how many of the subtasks have this one."""

    rule_id: str
    version: int
    subtasks: int
    parallelism: int


class RulesInForce:
    """The last word of each subtask on each rule.

    By subtask and not by version: a job that starts anew begins with the baseline's version 1 again, however high the version
    of its forerunner was, and its status topic still holds both.
    """

    def __init__(self) -> None:
        self._versions: dict[str, dict[int, int]] = {}  # rule id -> subtask -> version that it has accepted
        self._parallelism: dict[str, int] = {}
        self.refused: RuleStatus | None = None  # the last update that was rejected or stale

    def observe(self, status: RuleStatus) -> None:
        if status.status in _REFUSED:
            self.refused = status
            return
        versions = self._versions.setdefault(status.rule_id, {})
        if status.status == DELETED:
            versions.pop(status.subtask, None)
        else:
            versions[status.subtask] = status.version
        self._parallelism[status.rule_id] = status.parallelism
        for subtask in [each for each in versions if each >= status.parallelism]:
            del versions[subtask]  # the job was scaled down

    def rules(self) -> list[RuleInForce]:
        """By id; a rule that every subtask has deleted is not among them."""
        return [
            RuleInForce(rule_id, max(versions.values()), list(versions.values()).count(max(versions.values())), self._parallelism[rule_id])
            for rule_id, versions in sorted(self._versions.items())
            if versions
        ]
