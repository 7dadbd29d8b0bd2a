"""The one Python stage: decodes, validates and routes each event by the rules in broadcast state.

A thin adapter between Flink and the pure modules beside it. It is on the hot path: every event passes it, in batches (udfs/batches.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pyflink.common import Row, Types
from pyflink.datastream import OutputTag
from pyflink.datastream.functions import BroadcastProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor

from udfs import metrics
from udfs.batches import records, routed
from udfs.dead_letters import DeadLetterShare
from udfs.facts import facts
from udfs.kafka_client import Brokers
from udfs.rules.rulebook import ACCEPTED, DELETED, Rulebook, Update, digest
from udfs.topic_maker import keeper
from udfs.topics import NoAnswerError
from udfs.validation import REASONS, InvalidEvent, decode

log = logging.getLogger(__name__)

COUNTED: Final = "counted"
"""Status of a record that reports the counters of a rule in force."""
RULE_COUNTERS: Final = ("evaluated", "matched", "shadow_matched", "errors", "time_us")
"""Of one subtask, since the rule came into force there; time is an estimate from samples."""

BATCH_TYPE: Final = Types.PRIMITIVE_ARRAY(Types.BYTE())
"""What comes in and what goes out: udfs/batches.py."""


@dataclass(frozen=True)
class RouterSettings:
    """What the stage needs to know; plain values, since it is pickled into the job."""

    baseline_rules: tuple[str, ...]
    """Rules in force before the first update, as JSON texts."""
    destinations: Collection[str]
    """Topics that rules may name: names, or Destinations, which may have patterns."""
    max_clock_gap_ms: int
    max_event_bytes: int
    dead_letter_share_limit: float
    mask_key_file: str = ""
    """File on each host with the key that masks fields; empty: rules that mask are refused. Never the key itself, which
    would show in the job graph."""
    rule_counters_ms: int = 10_000
    """Time between two reports of the rules' counters."""
    with_facts: bool = True
    """Whether any insight needs the events' facts."""
    topics: Brokers | None = None
    """Where topics are made that only a pattern allows; None: no pattern."""
    with_fraud: bool = True
    """Whether there is a stage that makes alerts of signals; without it, rules of that kind are refused. Of the facts it needs only
    which events are views."""
    with_order: bool = True
    """Whether the job orders sessions; without, rules that ask for it are refused."""


def dead_letter_tag() -> OutputTag:
    """Side output of records that can't be processed."""
    return OutputTag(
        "dead-letters",
        Types.ROW_NAMED(
            ["reason", "detail", "origin_partition", "origin_offset", "record_time_ms", "payload"],
            [Types.STRING(), Types.STRING(), Types.INT(), Types.LONG(), Types.LONG(), Types.PRIMITIVE_ARRAY(Types.BYTE())],
        ),
    )


def rule_status_tag() -> OutputTag:
    """Side output of what became of each rule update, one row per subtask."""
    return OutputTag(
        "rule-status",
        Types.ROW_NAMED(
            ["rule_id", "version", "status", "reason", "subtask", "parallelism", "time_ms", *RULE_COUNTERS, "digest"],
            [Types.STRING(), Types.INT(), Types.STRING(), Types.STRING(), Types.INT(), Types.INT(), Types.LONG(),
             *[Types.LONG()] * len(RULE_COUNTERS), Types.STRING()],
        ),
    )  # fmt: skip


def rules_state() -> MapStateDescriptor:
    """Broadcast state: rule id -> entry of the Rulebook, as text (explicit types: savepoints stay readable)."""
    return MapStateDescriptor("rules", Types.STRING(), Types.STRING())


class EventRouter(BroadcastProcessFunction[bytes, Row, Any]):
    """Input: batches of events, and rule records RULE_FIELDS. Output: batches of routed events, dead letters, rule statuses."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings

    def open(self, runtime_context: RuntimeContext) -> None:
        settings = self._settings
        # Descriptors and tags that have touched Java do not pickle, so they are built here and not in __init__.
        self._rules_state = rules_state()
        self._dead_letter_tag = dead_letter_tag()
        self._rule_status_tag = rule_status_tag()
        self._subtask, self._parallelism = _subtask(runtime_context)
        mask_key = read_mask_key(settings.mask_key_file)
        self._rulebook = Rulebook(
            settings.baseline_rules, settings.destinations, mask_key, has_alerts=settings.with_fraud, can_order=settings.with_order
        )
        self._route = self._rulebook.rule_set.route
        self._restored = False
        self._max_clock_gap_ms = settings.max_clock_gap_ms
        self._max_bytes = settings.max_event_bytes
        self._with_facts = settings.with_facts
        self._marks = {"product_viewed": "V"} if settings.with_fraud else {}
        self._share = DeadLetterShare(settings.dead_letter_share_limit)
        self._events = self._dead_letters = self._unrouted = self._refused = 0
        self._metrics = runtime_context.get_metrics_group().add_group(metrics.GROUP)
        self._reasons: dict[str, int] = {}
        self._reason_publishers: dict[str, metrics.Publisher] = {}
        # All of them now, at zero: a series that begins with its first dead letter has no increase, and nobody is alerted.
        for reason in REASONS:
            self._count_reason(reason, 0)
        self._rule_publishers: dict[str, metrics.Publisher] = {}
        self._reported: dict[str, tuple[int, ...]] = {}
        self._next_report_ms = _now_ms() + settings.rule_counters_ms
        self._publisher = metrics.Publisher(
            self._metrics,
            {
                metrics.EVENTS: lambda: self._events,
                metrics.DEAD_LETTERS: lambda: self._dead_letters,
                metrics.DEAD_LETTER_PPM: lambda: int(self._share.share * 1_000_000),
                metrics.UNROUTED: lambda: self._unrouted,
                metrics.RULE_UPDATES_REFUSED: lambda: self._refused,
                metrics.RULES_IN_FORCE: lambda: len(self._rulebook.rule_set),
            },
        )

    def process_element(self, value: bytes, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterable[Any]:
        out: list[Any] = []
        if not self._restored:
            out += self._restore(ctx.get_broadcast_state(self._rules_state).items())
        valid: list[bytes] = []
        dead_letters = self._dead_letters
        for record in records(value):
            try:
                valid.append(self._routed(record[0], record[3]))
            except InvalidEvent as invalid:
                self._share.count(True)
                out.append(self._dead_letter(*record, invalid))
        self._share.count(False, len(valid))
        self._events += len(valid) + self._dead_letters - dead_letters
        self._publisher.publish()
        if _now_ms() >= self._next_report_ms:
            out += self._count_rules()
        if valid:
            out.append(b"".join(valid))
        return out

    def _routed(self, payload: bytes, time_ms: int) -> bytes:
        """Raises InvalidEvent."""
        event, event_type = decode(payload, time_ms, self._max_clock_gap_ms, self._max_bytes)
        route = self._route(event, event_type)
        if not (route.ordered or route.unordered):
            self._unrouted += 1
        told = facts(event, event_type) if self._with_facts else self._marks.get(event_type, "")
        return routed(time_ms, event.session_id, event.event_id, route.ordered, route.unordered, told, payload)

    def process_broadcast_element(self, value: Row, ctx: BroadcastProcessFunction.Context) -> Iterator[Any]:
        state = ctx.get_broadcast_state(self._rules_state)
        yield from self._restore(state.items())
        rule_id, text, refusal = value[0] or "", value[1], value[2] or ""
        update = self._rulebook.apply(rule_id, text, refusal)
        if update.keep is not None:
            state.put(update.rule_id, update.keep)
        for forgotten in update.forget:
            state.remove(forgotten)
        if update.status not in (ACCEPTED, DELETED):
            self._refused += 1
            log.warning("rule %s version %d %s: %s", update.rule_id, update.version, update.status, update.reason)
        self._publisher.publish()
        yield self._rule_status(update, digest=digest(text))

    def _restore(self, entries: Iterable[tuple[str, str]]) -> Iterator[Any]:
        """On the first element: broadcast state can't be read in open(). Says which rules are in force at the start."""
        if self._restored:
            return
        self._restored = True
        self._rulebook.restore(dict(entries))
        missing = self._missing_topics()
        for rule in list(self._rulebook):
            gone = next((each.topic for each in rule.to if each.topic in missing), None)
            if gone is None:
                yield self._rule_status(Update(rule.id, rule.version, ACCEPTED, "in force at start"))
            else:
                self._refused += 1
                yield self._rule_status(self._rulebook.suspend(rule.id, f"to names {gone!r}, which {missing[gone]}"))

    def _missing_topics(self) -> dict[str, str]:
        """Topics of rules in force that somebody has deleted meanwhile and that can't be made again, with the reason."""
        if self._settings.topics is None:
            return {}
        try:
            missing = keeper(self._settings).missing(each.topic for rule in self._rulebook for each in rule.to)
        except NoAnswerError as error:
            log.warning("the topics of the rules in force are taken for there: %s", error)
            return {}
        for topic, reason in missing.items():
            log.warning("rules that send to %s are out of force: it %s", topic, reason)
        return missing

    def _dead_letter(
        self, value: bytes, partition: int, offset: int, time_ms: int, invalid: InvalidEvent
    ) -> tuple[OutputTag, Row]:  # fmt: skip
        self._dead_letters += 1
        if self._share.warning_due(_now_ms()):
            log.warning(
                "%.1f %% of the last records are dead letters: is a producer broken? Last one, partition %d offset %d: %s",
                100 * self._share.share, partition, offset, invalid,
            )  # fmt: skip
        self._count_reason(invalid.reason, 1)
        return self._dead_letter_tag, Row(invalid.reason, invalid.detail, partition, offset, time_ms, value)

    def _count_reason(self, reason: str, more: int) -> None:
        self._reasons[reason] = self._reasons.get(reason, 0) + more
        if reason not in self._reason_publishers:
            group = self._metrics.add_group(metrics.DEAD_LETTERS_BY_REASON, reason)
            self._reason_publishers[reason] = metrics.Publisher(group, {metrics.DEAD_LETTERS: lambda: self._reasons[reason]})
        self._reason_publishers[reason].publish()

    def _rule_status(
        self, update: Update, counters: tuple[int, ...] = (0,) * len(RULE_COUNTERS), digest: str = ""
    ) -> tuple[OutputTag, Row]:  # fmt: skip
        told = (update.rule_id, update.version, update.status, update.reason)
        row = Row(*told, self._subtask, self._parallelism, _now_ms(), *counters, digest)
        return self._rule_status_tag, row

    def _count_rules(self) -> Iterator[tuple[OutputTag, Row]]:
        """Reports the counters that have changed since the last report, as metrics and as statuses."""
        self._next_report_ms = _now_ms() + self._settings.rule_counters_ms
        versions = {rule.id: rule.version for rule in self._rulebook}
        for rule_id, each in self._rulebook.rule_set.counters().items():
            now = (each.evaluated, each.matched, each.shadow_matched, each.errors, each.time_ns // 1_000)
            if self._reported.get(rule_id) == now:
                continue
            self._reported[rule_id] = now
            self._publisher_of(rule_id).publish()
            yield self._rule_status(Update(rule_id, versions[rule_id], COUNTED, ""), now)

    def _publisher_of(self, rule_id: str) -> metrics.Publisher:
        if rule_id not in self._rule_publishers:
            group = self._metrics.add_group("rule", rule_id)
            readers = {name: partial(self._reported_count, rule_id, index) for index, name in enumerate(metrics.RULE_COUNTERS)}
            self._rule_publishers[rule_id] = metrics.Publisher(group, readers)
        return self._rule_publishers[rule_id]

    def _reported_count(self, rule_id: str, index: int) -> int:
        return self._reported[rule_id][index]


def read_mask_key(path: str) -> bytes | None:
    """The key in a file, without the white space around it, which editors add; None without a file."""
    if not path:
        return None
    key = Path(path).read_bytes().strip()
    if not key:
        raise ValueError(f"--mask-key-file {path} is empty")
    return key


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _subtask(runtime_context: RuntimeContext) -> tuple[int, int]:
    """Index of this subtask, and their number.

    In thread mode PyFlink 2.3 calls Java methods for these that Flink 2 has moved to TaskInfo.
    """
    java_context = getattr(runtime_context, "_runtime_context", None)
    if java_context is not None and hasattr(java_context, "getTaskInfo"):
        task = java_context.getTaskInfo()
        return task.getIndexOfThisSubtask(), task.getNumberOfParallelSubtasks()
    return runtime_context.get_index_of_this_subtask(), runtime_context.get_number_of_parallel_subtasks()
