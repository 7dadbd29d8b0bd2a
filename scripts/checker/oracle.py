"""From what went in to what must come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from shop.v1.events_pb2 import Event

from scripts.checker.model import EVENTS, Expectation, ExpectedDeadLetter, ExpectedEvent, Findings, Problem, Sale
from scripts.checker.rules import Rule
from scripts.checker.validity import Checked, Limits, check_record
from scripts.shop.faults import REASONS, Fault
from scripts.shop.ledger import Entry


def expect(entries: Iterable[Entry], rules: Sequence[Rule], limits: Limits = Limits()) -> Expectation:
    """What must come out of `entries` (any order of them) under `rules`.

    Which events are late is the job's to say, so that an event's ordered destinations are the ones it has if it is on time.
    """
    in_log_order = sorted(entries, key=lambda entry: (entry.partition, entry.offset))
    events: dict[str, ExpectedEvent] = {}
    dead_letters: dict[tuple[int, int], ExpectedDeadLetter] = {}
    doubts = Findings()
    newest_ms: dict[int, int] = {}  # by partition, so far
    copies = 0
    for entry in in_log_order:
        overtaken_ms = newest_ms.get(entry.partition, -1)
        newest_ms[entry.partition] = max(overtaken_ms, entry.timestamp_ms)
        checked = check_record(entry.value, entry.timestamp_ms, limits)
        _doubt(entry, checked, doubts)
        if not checked.valid or checked.event is None:
            dead_letters[entry.partition, entry.offset] = _dead_letter(entry, checked)
            continue
        event_id = checked.event.event_id
        known = events.get(event_id)
        if known is None:
            events[event_id] = _event(entry, checked.event, checked.event_type, rules, overtaken_ms)
            continue
        copies += 1
        if (known.value, known.time_ms, known.key) != (entry.value, entry.timestamp_ms, entry.key):
            doubts.add(Problem.ORACLE_DOUBT, EVENTS, "{} came again with another content at partition {} offset {}", known, *entry[:2])
        if entry.partition != known.partition and overtaken_ms > known.overtaken_ms:  # either may have been read first
            events[event_id] = replace(known, overtaken_ms=overtaken_ms)
    destinations = frozenset(topic for rule in rules for topic in rule.topics)
    return Expectation(events, dead_letters, len(in_log_order), copies, max(newest_ms.values(), default=-1), destinations, doubts)


def _event(entry: Entry, event: Event, event_type: str, rules: Sequence[Rule], overtaken_ms: int) -> ExpectedEvent:
    routes: dict[str, set[str]] = {}
    unordered: set[str] = set()
    for rule in rules:
        if rule.matches(event_type, event):
            for topic, in_order in rule.topics.items():
                routes.setdefault(topic, set()).add(rule.rule_id)
                if not in_order:  # whoever asked for it at once is not served by a delayed copy
                    unordered.add(topic)
    assert entry.value is not None
    return ExpectedEvent(
        event_id=event.event_id,
        session_id=event.session_id,
        event_type=event_type,
        time_ms=entry.timestamp_ms,
        key=entry.key,
        value=entry.value,
        partition=entry.partition,
        offset=entry.offset,
        ordered=frozenset(routes) - unordered,
        unordered=frozenset(unordered),
        routes={topic: frozenset(ids) for topic, ids in routes.items()},
        sales=_sales(event) if event_type == "order_placed" else (),
        overtaken_ms=overtaken_ms,
    )


def _sales(event: Event) -> tuple[Sale, ...]:
    return tuple(
        Sale(line.category, line.unit_price.currency, line.quantity, line.quantity * line.unit_price.amount_minor)
        for line in event.order_placed.lines
    )


def _dead_letter(entry: Entry, checked: Checked) -> ExpectedDeadLetter:
    reasons = frozenset(reason for fault in checked.faults for reason in fault.reasons)
    detail = "; ".join(fault.detail for fault in checked.faults)
    return ExpectedDeadLetter(entry.partition, entry.offset, entry.timestamp_ms, entry.value or b"", reasons, detail)


def _doubt(entry: Entry, checked: Checked, doubts: Findings) -> None:
    """The generator says what it broke. If the checker sees it otherwise, one of the two is wrong, and no verdict is worth much."""
    if entry.fault is None:
        return
    wanted = REASONS.get(entry.fault)
    found = {reason for fault in checked.faults for reason in fault.reasons}
    if wanted is not None and wanted not in found:
        doubts.add(
            Problem.ORACLE_DOUBT, EVENTS, "made as {} ({}), but judged {}: {}", entry.fault.name, wanted, sorted(found) or "valid", entry
        )
    elif entry.fault is Fault.NONE and found:
        doubts.add(Problem.ORACLE_DOUBT, EVENTS, "made as valid, but judged {}: {}", checked.faults, entry)


def check_ledger(ledger: Iterable[Entry], topic: Iterable[Entry]) -> Findings:
    """Everything that Kafka has confirmed must be in the topic, byte for byte."""
    findings = Findings()
    stored = {(entry.partition, entry.offset): entry for entry in topic}
    for entry in ledger:
        if entry.partition < 0:
            continue
        found = stored.get((entry.partition, entry.offset))
        if found is None:
            findings.add(Problem.NOT_IN_TOPIC, EVENTS, "confirmed at partition {} offset {}, but not there", *entry[:2])
        elif found[2:5] != entry[2:5]:
            findings.add(Problem.NOT_IN_TOPIC, EVENTS, "partition {} offset {} holds {}, confirmed was {}", *entry[:2], found, entry)
    return findings


def with_faults(topic: Iterable[Entry], ledger: Iterable[Entry]) -> list[Entry]:
    """The topic's records, with what the ledger knows of how they were made."""
    made = {(entry.partition, entry.offset): entry for entry in ledger}
    return [entry._replace(fault=known.fault, copy=known.copy) if (known := made.get(entry[:2])) else entry for entry in topic]
