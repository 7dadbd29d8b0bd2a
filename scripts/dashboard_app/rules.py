"""The rules in force, with their mode and what they have hit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from scripts.dashboard_app.bounded import Newest, shortened
from scripts.outputs.record import Record, Unreadable
from scripts.outputs.rules import ACCEPTED, COUNTED, DELETED, RulesInForce, RuleStatus, decode_status

_MOST_RULES: Final = 5_000  # the job's own limit
_MOST_COUNTERS: Final = 100_000
_MOST_SUBTASKS: Final = 4_096
_MOST_ID: Final = 200
_SHOWN: Final = 60
_REFUSAL_SHOWN_MS: Final = 3_600_000
_UNCHANGED: Final = "already in force"


@dataclass(frozen=True, slots=True)
class _Text:
    """What a rule's own text says of it."""

    version: int
    mode: str
    description: str


class Rules:
    """What the topics rules and rules.status say.

    The status names the version that is in force and its counters; the mode stands in the rule itself.
    """

    def __init__(self, baseline: Mapping[str, str] | None = None) -> None:
        """`baseline`: rule id -> its text as JSON, of the rules that the job starts with."""
        self._in_force = RulesInForce()
        self._ids: set[str] = set()
        self._counters: dict[str, dict[int, RuleStatus]] = {}
        self._counted = 0
        self._baseline = {rule_id: _text(text.encode()) for rule_id, text in (baseline or {}).items()}
        self._texts: Newest[str, _Text] = Newest(_MOST_RULES)
        self._refused_ms = 0

    def observe_status(self, record: Record) -> None:
        """Raises Unreadable."""
        status = decode_status(record)
        if not 0 <= status.subtask < status.parallelism <= _MOST_SUBTASKS or len(status.rule_id) > _MOST_ID:
            raise Unreadable(record, f"subtask {status.subtask} of {status.parallelism}, rule id of {len(status.rule_id)} characters")
        if status.rule_id not in self._ids and len(self._ids) >= _MOST_RULES:
            raise Unreadable(record, f"more than {_MOST_RULES} rules")
        self._ids.add(status.rule_id)
        self._in_force.observe(status)
        if status is self._in_force.refused:
            self._refused_ms = record.time_ms
        self._count(status)

    def _count(self, status: RuleStatus) -> None:
        counters = self._counters.setdefault(status.rule_id, {})
        before = len(counters)
        if status.status == DELETED or (status.status == ACCEPTED and status.reason != _UNCHANGED):
            counters.pop(status.subtask, None)  # it counts anew
        elif status.status == COUNTED and (status.subtask in counters or self._counted < _MOST_COUNTERS):
            counters[status.subtask] = status
        for gone in [each for each in counters if each >= status.parallelism]:  # the job was scaled down
            del counters[gone]
        self._counted += len(counters) - before

    def observe_rule(self, record: Record) -> None:
        """A record of the topic rules; what is no rule is the job's to refuse."""
        rule_id = record.key.decode(errors="replace")
        text = _text(record.value)
        if text is not None and len(rule_id) <= _MOST_ID:
            self._texts.put(rule_id, text)

    def view(self, now_ms: int) -> dict[str, Any]:
        """The rules that match most, how many there are, and the last update that was refused, if that was lately."""
        rules: list[dict[str, Any]] = []
        for rule in self._in_force.rules():
            of_version = [each for each in self._counters.get(rule.rule_id, {}).values() if each.version == rule.version]
            candidates = (self._texts.get(rule.rule_id), self._baseline.get(rule.rule_id))
            text = next((each for each in candidates if each is not None and each.version == rule.version), None)
            counters = {
                name: sum(getattr(each, name) for each in of_version) for name in ("evaluated", "matched", "shadow_matched", "errors")
            }
            rules.append(
                {"id": rule.rule_id, "version": rule.version, "mode": text.mode if text else "unknown",
                 "description": text.description if text else "", "subtasks": rule.subtasks, "parallelism": rule.parallelism} | counters
            )  # fmt: skip
        rules.sort(key=lambda rule: (-rule["matched"], -rule["shadow_matched"], rule["id"]))
        return {"rules": rules[:_SHOWN], "count": len(rules), "refused": self._refused(now_ms)}

    def _refused(self, now_ms: int) -> dict[str, Any] | None:
        refused = self._in_force.refused
        if refused is None or self._refused_ms < now_ms - _REFUSAL_SHOWN_MS:
            return None
        return {"id": refused.rule_id, "version": refused.version, "status": refused.status,
                "reason": shortened(refused.reason, 300), "time_ms": self._refused_ms}  # fmt: skip


def _text(value: bytes) -> _Text | None:
    try:
        rule = orjson.loads(value)
        version, mode, enabled = rule["version"], rule.get("mode", "active"), rule.get("enabled", True)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(version, int) or mode not in ("active", "shadow", "paused"):
        return None
    return _Text(version, mode if enabled is True else "disabled", shortened(str(rule.get("description", ""))))
