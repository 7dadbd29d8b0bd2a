"""What each command would change, judged by the rules in force. Pure: nothing is read or written here.

A plan is made anew when another one's change came in between, so all that it depends on is in the state that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scripts.control.log import State
from scripts.control.output import CommandError
from udfs.rules.language import InvalidRule, Rule, parse_rule
from udfs.rules.rulebook import MAX_RULES

REFUSED: Final = 1


@dataclass(frozen=True)
class Change:
    """One rule as it is to become; without a text it is deleted."""

    action: str
    rule_id: str
    version: int
    previous_version: int
    text: str | None

    @property
    def expected(self) -> int | None:
        """What the job must say is in force then; None: that it is deleted."""
        return None if self.text is None else self.version


@dataclass(frozen=True)
class Planned:
    """`unchanged`: rule id -> why nothing is to be done."""

    changes: tuple[Change, ...] = ()
    unchanged: Mapping[str, str] | None = None


Plan = Callable[[State], Planned]
"""Raises CommandError with the reason if the change is refused."""


def push(rules: Mapping[str, Rule], texts: Mapping[str, str], topics: Collection[str], *, bump: bool) -> Plan:
    """Rules of files into force. All or none."""

    def plan(state: State) -> Planned:
        changes: list[Change] = []
        unchanged: dict[str, str] = {}
        refused: list[str] = []
        for rule_id, rule in rules.items():
            current = state.version(rule_id)
            in_force = state.in_force[rule_id][0] if rule_id in state.in_force else None
            # Also if the version in force is higher: it was paused and resumed, or rolled back and forth.
            if in_force is not None and _same(rule, in_force) and rule.version <= current:
                unchanged[rule_id] = f"version {current} is in force"
            elif rule.version > current:
                changes.append(Change("push", rule_id, rule.version, _previous(state, rule_id), texts[rule_id]))
            elif bump:
                version = state.next_version(rule_id)
                changes.append(_change(state, "push", rule_id, json.loads(texts[rule_id]) | {"version": version}, topics))
            else:
                what = "is in force" if in_force is not None else "was deleted"
                refused.append(
                    f"{rule_id} has version {rule.version} and differs from version {current}, which {what}: it needs a higher version, "
                    "or --bump"
                )
        if refused:
            raise CommandError("; ".join(refused), REFUSED)
        if (would_be := len(state.in_force.keys() | rules.keys())) > MAX_RULES:
            raise CommandError(f"{would_be:,} rules would be in force, allowed are {MAX_RULES:,}", REFUSED)
        return Planned(tuple(changes), unchanged)

    return plan


def rollback(rule_id: str, version: int, topics: Collection[str]) -> Plan:
    """An earlier version, as a new and higher one."""

    def plan(state: State) -> Planned:
        raw = next((raw for known, raw in state.texts(rule_id) if known == version), None)
        if raw is None:
            known = sorted({known for known, _ in state.texts(rule_id)})
            have = f"the known versions are {', '.join(map(str, known))}" if known else "no version of it is known"
            raise CommandError(f"there is no version {version} of {rule_id}: {have}", REFUSED)
        return _replaced(state, "rollback", rule_id, raw, topics)

    return plan


def pause(rule_id: str, topics: Collection[str]) -> Plan:
    """No longer evaluated."""
    return lambda state: _replaced(state, "pause", rule_id, _raw(state, rule_id) | {"mode": "paused"}, topics)


def resume(rule_id: str, topics: Collection[str]) -> Plan:
    """Back to the mode that it had before it was paused: a rule on trial must not route all at once."""

    def plan(state: State) -> Planned:
        raw = _raw(state, rule_id)
        if raw.get("mode") != "paused":
            return Planned(unchanged={rule_id: f"version {raw['version']} is not paused"})
        modes = (earlier.get("mode", "active") for _, earlier in state.texts(rule_id))
        mode = next((mode for mode in modes if mode != "paused"), "active")
        return _replaced(state, "resume", rule_id, raw | {"mode": mode}, topics)

    return plan


def promote(rule_id: str, topics: Collection[str]) -> Plan:
    """From shadow to active."""

    def plan(state: State) -> Planned:
        raw = _raw(state, rule_id)
        mode = raw.get("mode", "active")
        if mode != "shadow":
            raise CommandError(f"{rule_id} version {raw['version']} is in mode {mode}, only a rule in mode shadow can be promoted", REFUSED)
        return _replaced(state, "promote", rule_id, raw | {"mode": "active"}, topics)

    return plan


def delete(rule_id: str) -> Plan:
    """Out of force."""

    def plan(state: State) -> Planned:
        version = _raw(state, rule_id)["version"]
        return Planned((Change("delete", rule_id, version, version, None),))

    return plan


def withdraw(refused: Mapping[str, tuple[Change, int]], before: State, topics: Collection[str]) -> Plan:
    """Takes back what the job rejected, or it would stay on the topic for good and hide what is in force.

    What was in force comes back as a new and higher version: only so do all who read the topic from its start agree, whether they
    reject the change or, with other settings, do not.

    Args:
        refused: rule id -> the change, and the version that the job says is in force (0: none).
        before: the state that the change was made on.
    """

    def plan(state: State) -> Planned:
        changes = []
        for rule_id, (change, version) in refused.items():
            now = state.in_force.get(rule_id)
            earlier = before.in_force.get(rule_id)
            if now is None or now[0].version != change.version:
                continue  # somebody has pushed another one meanwhile
            # Where job and topic disagree on what was in force before, as with another baseline, nothing can be put back.
            if version != (earlier[0].version if earlier else 0):
                continue
            if earlier is None:
                changes.append(Change("withdraw", rule_id, change.version, change.version, None))
            else:
                raw = json.loads(earlier[1]) | {"version": state.next_version(rule_id)}
                changes.append(_change(state, "withdraw", rule_id, raw, topics))
        return Planned(tuple(changes))

    return plan


def _raw(state: State, rule_id: str) -> dict[str, Any]:
    if rule_id not in state.in_force:
        raise CommandError(f"there is no rule {rule_id} in force, there are {', '.join(sorted(state.in_force)) or 'none'}", REFUSED)
    raw: dict[str, Any] = json.loads(state.in_force[rule_id][1])
    return raw


def _replaced(state: State, action: str, rule_id: str, raw: dict[str, Any], topics: Collection[str]) -> Planned:
    change = _change(state, action, rule_id, raw | {"version": state.next_version(rule_id)}, topics)
    in_force = state.in_force.get(rule_id)
    if in_force is not None and change.text is not None and _same(_parse(change.text, topics), in_force[0]):
        return Planned(unchanged={rule_id: f"version {in_force[0].version} in force is the same"})
    return Planned((change,))


def _change(state: State, action: str, rule_id: str, raw: dict[str, Any], topics: Collection[str]) -> Change:
    text = json.dumps(raw, sort_keys=True)
    return Change(action, rule_id, _parse(text, topics).version, _previous(state, rule_id), text)


def _parse(text: str, topics: Collection[str]) -> Rule:
    try:
        return parse_rule(text, topics)
    except InvalidRule as error:
        raise CommandError(f"this version is not valid any more: {error}", REFUSED) from error


def _previous(state: State, rule_id: str) -> int:
    return state.in_force[rule_id][0].version if rule_id in state.in_force else 0


def _same(rule: Rule, other: Rule) -> bool:
    """Equal but for the version; by text, as the job compares: 1, 1.0 and true are equal in Python, and not in a rule."""
    return repr(rule.model_copy(update={"version": other.version})) == repr(other)
