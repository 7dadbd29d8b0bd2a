"""Which version of each rule is in force, and what an update from the rules topic does to it.

Pure: a state machine over (rule id, text) updates. udfs/router.py feeds it and keeps its entries in broadcast state.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from udfs.rules.engine import RuleSet
from udfs.rules.language import InvalidRule, Rule, parse_rule

log = logging.getLogger(__name__)

ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
STALE: Final = "stale"
DELETED: Final = "deleted"

MAX_REASON_LENGTH: Final = 1_000
"""Longest reason, in characters: a rule's fault may quote the rule, and the status must fit into one Kafka record."""

MAX_RULES: Final = 5_000
"""Most rules in force. A rule set of 1,000 keeps more than half of the throughput with 10."""

MAX_DELETED: Final = 10_000
"""Most deletions that are remembered, so that the version of a deleted rule can't come back; those of baseline rules not counted."""


@dataclass(frozen=True)
class Update:
    """The outcome of one update: what rules.status says, and what must be kept in state (None: keep what is there).

    `forget`: ids of which the entries must be taken out of state.
    """

    rule_id: str
    version: int
    status: str
    reason: str
    keep: str | None = None
    forget: tuple[str, ...] = ()


def digest(text: str | None) -> str:
    """Names a record of the rules topic by its content, so that whoever wrote it knows the answers to it from those to others'."""
    return hashlib.sha256((text or "").encode("utf-8", "replace")).hexdigest()[:16]


class Rulebook:
    """The rules in force: the baseline from rules/, overlaid by what came over the rules topic.

    An entry is the rule's JSON text, or `{"id", "version", "deleted": true, "number"}` after a deletion, so that a baseline rule
    stays deleted after a restore. Of two entries for one id the higher version wins; a deletion wins over its equal.

    Only MAX_DELETED deletions are remembered, the newest by their number. Numbers are part of the entries, so that all subtasks
    forget the same ones, before and after a restore.
    """

    def __init__(
        self, baseline: Iterable[str], allowed_topics: Collection[str], mask_key: bytes | None = None, *, has_alerts: bool = True,
        can_order: bool = True,
    ) -> None:  # fmt: skip
        self._has_alerts, self._can_order = has_alerts, can_order
        self._allowed_topics = allowed_topics
        self._can_mask = mask_key is not None
        self._rules: dict[str, Rule] = {}
        self._versions: dict[str, int] = {}
        self._deleted: dict[str, int] = {}  # id -> number, ascending; without the baseline's
        self._deletions = 0
        self._dormant: set[str] = set()  # kept in state, but not in force
        self.rule_set = RuleSet(mask_key=mask_key)
        for text in baseline:
            self._put(self._parse(text))
        if len(self._rules) > MAX_RULES:
            raise InvalidRule(((), f"the baseline has {len(self._rules)} rules, allowed are {MAX_RULES}"))
        self._baseline = frozenset(self._rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def restore(self, entries: Mapping[str, str]) -> None:
        """Overlays the entries kept in state. One that today's code refuses is left out with a warning: the job goes on."""
        parsed = {rule_id: json.loads(text) for rule_id, text in entries.items()}
        for rule_id, entry in sorted(parsed.items(), key=lambda each: (each[1].get("number", 0), each[0])):
            text = entries[rule_id]
            version = int(entry["version"])
            if entry.get("deleted"):
                self._deletions = max(self._deletions, entry.get("number", 0))
                if version >= self._versions.get(rule_id, 0):
                    self._remove(rule_id, version, entry.get("number", 0))
            elif version >= self._versions.get(rule_id, 0):
                try:
                    self._put(self._parse(text))
                except InvalidRule as error:
                    self._versions[rule_id] = version  # what was refused as older stays refused
                    if rule_id not in self._rules:
                        self._dormant.add(rule_id)
                    log.warning("rule %s version %d, kept in state, is no longer valid and not in force: %s", rule_id, version, error)

    def suspend(self, rule_id: str, reason: str) -> Update:
        """Takes a rule out of force that can't be carried out, until a higher version or another start of the job."""
        self._rules.pop(rule_id)
        self.rule_set.remove(rule_id)
        self._dormant.add(rule_id)
        return Update(rule_id, self._versions[rule_id], REJECTED, reason[:MAX_REASON_LENGTH])

    def apply(self, rule_id: str, text: str | None, refusal: str = "") -> Update:
        """Applies one record of the rules topic.

        Args:
            rule_id: the record's key.
            text: the record's value; None or empty is a tombstone, which deletes the rule.
            refusal: why it can't come into force although it is a valid rule (udfs/topics.py).
        """
        current = self._versions.get(rule_id, 0)
        if not text:
            if rule_id not in self._rules and rule_id not in self._dormant:
                return Update(rule_id, current, STALE, "there is no such rule to delete")
            self._deletions += 1
            self._remove(rule_id, current, self._deletions)
            entry = {"id": rule_id, "version": current, "deleted": True, "number": self._deletions}
            return Update(rule_id, current, DELETED, "", json.dumps(entry), self._forget_oldest())
        try:
            # Before it is read: of a hundred thousand rules, those that are too many must cost next to nothing.
            if rule_id not in self._rules and rule_id not in self._dormant and len(self._rules) + len(self._dormant) >= MAX_RULES:
                raise InvalidRule(((), f"{MAX_RULES} rules are in force, more are not allowed"))
            rule = self._parse(text)
            if rule.id != rule_id:
                raise InvalidRule((("id",), f"is {rule.id!r}, the record's key {rule_id!r}: they must be equal"))
        except InvalidRule as error:
            return Update(rule_id, current, REJECTED, _printable(str(error))[:MAX_REASON_LENGTH])
        if repr(rule) == repr(self._rules.get(rule_id)):  # by text: 1, 1.0 and true are equal in Python, and not in a rule
            return Update(rule_id, current, ACCEPTED, "already in force", text)
        if rule.version <= current:
            return Update(rule_id, rule.version, STALE, f"version {current} is in force, an update must have a higher one")
        if refusal:
            return Update(rule_id, current, REJECTED, _printable(refusal)[:MAX_REASON_LENGTH])
        self._put(rule)
        return Update(rule_id, rule.version, ACCEPTED, "", text)

    def _parse(self, text: str) -> Rule:
        return parse_rule(
            text, self._allowed_topics, can_mask=self._can_mask, has_alerts=self._has_alerts, can_order=self._can_order
        )  # fmt: skip

    def _put(self, rule: Rule) -> None:
        self._rules[rule.id] = rule
        self.rule_set.put(rule)
        self._versions[rule.id] = rule.version
        self._deleted.pop(rule.id, None)
        self._dormant.discard(rule.id)

    def _remove(self, rule_id: str, version: int, number: int) -> None:
        self._rules.pop(rule_id, None)
        self.rule_set.remove(rule_id)
        self._versions[rule_id] = version
        self._dormant.discard(rule_id)
        self._deleted.pop(rule_id, None)
        if rule_id not in self._baseline:
            self._deleted[rule_id] = number

    def _forget_oldest(self) -> tuple[str, ...]:
        """The ids of which the deletion is no longer remembered, if there are too many."""
        oldest = tuple(islice(self._deleted, max(0, len(self._deleted) - MAX_DELETED)))
        for rule_id in oldest:
            del self._deleted[rule_id], self._versions[rule_id]
        return oldest


def _printable(text: str) -> str:
    """Escapes what can't be encoded or shown: a JSON text may hold lone surrogates and control characters."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
