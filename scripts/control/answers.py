"""What the job's subtasks answer to changes, and how a command tells it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from confluent_kafka import Consumer

from scripts.control.log import COUNTED, Status
from scripts.control.plans import Change
from scripts.control.writing import Written
from udfs.rules.rulebook import ACCEPTED, DELETED, REJECTED, digest


class Answers:
    """Collects what the subtasks say to changes."""

    def __init__(self, changes: Iterable[Change]) -> None:
        expected = {change.rule_id: change for change in changes}
        self._expected = {rule_id: change.expected for rule_id, change in expected.items()}
        self._digests = {rule_id: digest(change.text) for rule_id, change in expected.items()}
        self._parallelism = 0
        self.given: dict[str, dict[int, Status]] = {rule_id: {} for rule_id in expected}

    def observe(self, status: Status) -> None:
        """Takes the first answer of a subtask to a change; what else stands on the topic is passed over."""
        if status.rule_id not in self._expected or status.status == COUNTED:
            return
        version = self._expected[status.rule_id]
        is_newer = status.status == ACCEPTED and version is not None and status.version > version
        if status.digest not in ("", self._digests[status.rule_id]) and not is_newer:
            return  # to somebody else's change of the same rule
        if status.status == DELETED and version is not None:
            return
        if status.status == ACCEPTED and (version is None or status.version < version):
            return  # an older version, in force at the start of a job that comes up meanwhile
        self._parallelism = status.parallelism
        self.given[status.rule_id].setdefault(status.subtask, status)

    def good(self, status: Status) -> bool:
        """Whether the change is in force on the subtask; not if a still newer version is."""
        version = self._expected[status.rule_id]
        return status.status == DELETED if version is None else (status.status, status.version) == (ACCEPTED, version)

    @property
    def missing(self) -> dict[str, list[int]]:
        """Rule id -> subtasks that have not answered; empty lists: no subtask at all has."""
        subtasks = range(self._parallelism)
        missing = {rule_id: [each for each in subtasks if each not in given] for rule_id, given in self.given.items()}
        return {rule_id: each for rule_id, each in missing.items() if each or not self._parallelism}

    def rejected(self, changes: Iterable[Change]) -> dict[str, tuple[Change, int]]:
        """Rule id -> the change that was rejected, and the version that stays in force (0: none)."""
        return {
            change.rule_id: (change, status.version)
            for change in changes
            for status in self.given[change.rule_id].values()
            if status.status == REJECTED
        }

    def reasons(self) -> Iterator[str]:
        """Why changes are not in force, each reason once."""
        for given in self.given.values():
            yield from dict.fromkeys(status.reason for status in given.values() if not self.good(status))


def wait_for_answers(statuses: Consumer, changes: tuple[Change, ...], seconds: float) -> Answers:
    """Reads statuses until every subtask has answered to every change, or the time is over."""
    answers = Answers(changes)
    deadline = time.monotonic() + seconds
    while answers.missing and (left := deadline - time.monotonic()) > 0:
        message = statuses.poll(left)
        if message is None or message.error():
            continue
        try:
            answers.observe(Status(**json.loads(message.value() or b"")))
        except (ValueError, TypeError):
            continue  # not of the job
    return answers


def report(
    written: Written, answers: Answers, withdrawn: Iterable[Change] = (), *, waited: bool = True
) -> tuple[dict[str, Any], list[str], int]:
    """What became of the changes: for programs, for people, and as exit code."""
    changes = written.planned.changes
    unchanged = dict(written.planned.unchanged or {})
    lines = [f"{rule_id}: unchanged, {why}" for rule_id, why in unchanged.items()]
    results = []
    code = 0
    missing = answers.missing if waited else {}
    for change in changes:
        given = sorted(answers.given[change.rule_id].values(), key=lambda status: status.subtask)
        bad = [status for status in given if not answers.good(status)]
        lacking = missing.get(change.rule_id)
        if bad:
            code = 1
        elif lacking is not None:
            code = code or 2
        lines.append(f"{_what(change)}: {_became(change, given, bad, lacking, written.time_ms, waited)}")
        results.append(
            {
                "action": change.action, "rule_id": change.rule_id, "version": change.version, "previous_version": change.previous_version,
                "in_force": bool(given) and not bad and lacking is None,
                "subtasks": [
                    {"subtask": each.subtask, "status": each.status, "version": each.version, "reason": each.reason,
                     "after_ms": each.time_ms - written.time_ms}
                    for each in given
                ],
            }
        )  # fmt: skip
    for change in withdrawn:
        again = f", what was in force is so again as version {change.version}" if change.text is not None else ""
        lines.append(f"{change.rule_id}: taken back{again}")
    versions = {change.rule_id: change.version if change.text is not None else None for change in withdrawn}
    return {"changes": results, "unchanged": unchanged, "withdrawn": versions}, lines, code


def _what(change: Change) -> str:
    before = f", before {change.previous_version}" if change.previous_version and change.text is not None else ""
    return f"{change.rule_id}: {change.action} version {change.version}{before}"


def _became(
    change: Change, given: list[Status], bad: list[Status], lacking: list[int] | None, time_ms: int, waited: bool
) -> str:  # fmt: skip
    if bad:
        first = bad[0]
        return f"{_refusal(first)} (subtask {', '.join(str(each.subtask) for each in bad)} of {first.parallelism})"
    if not waited:
        return "written, the job's answer was not waited for"
    if not given:
        return "written, but no job answers: is it running, with this --topic-prefix? It reads the change when it starts"
    if lacking is not None:
        return f"written, but subtask {', '.join(map(str, lacking))} of {given[0].parallelism} has not answered"
    what = "deleted" if change.text is None else "in force"
    after = ", ".join(f"{each.time_ms - time_ms} ms (subtask {each.subtask})" for each in given)
    return f"{what} after {after}"


def _refusal(status: Status) -> str:
    if status.status == ACCEPTED:
        return f"overtaken, version {status.version} is in force"
    return f"{status.status}: {status.reason}"
