"""Holds what came out against what must come out. Pure: `compare(expectation, outputs, terms) -> Report`."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from shop.v1.events_pb2 import Event

from scripts.checker.model import (
    DEAD_LETTERS,
    EVENTS,
    FRAUD_ALERTS,
    LATE,
    OPTIONAL_HEADERS,
    RECOMMENDATIONS,
    SALES,
    SALES_INSIGHTS,
    Expectation,
    ExpectedEvent,
    Findings,
    Output,
    Outputs,
    Problem,
    Report,
    Terms,
    TopicCount,
    WindowCount,
)
from scripts.checker.recommendations import compare_recommendations
from scripts.checker.sales import compare_sales
from scripts.checker.sessions import check_numbers, check_order
from scripts.checker.windows import compare_windows


def compare(expectation: Expectation, outputs: Outputs, terms: Terms) -> Report:
    """Every output must have its place in the expectation, and every expected record its output, exactly once."""
    return _Comparison(expectation, outputs, terms).run()


@dataclass(slots=True)
class _Comparison:
    expectation: Expectation
    outputs: Outputs
    terms: Terms
    findings: Findings = field(init=False)
    by_value: dict[bytes, ExpectedEvent] = field(init=False)
    invalid_values: set[bytes] = field(init=False)
    counts: dict[str, TopicCount] = field(default_factory=dict)
    late: dict[str, ExpectedEvent] = field(default_factory=dict)
    unexplained: int = 0

    def __post_init__(self) -> None:
        self.findings = Findings(self.terms.examples)
        self.findings.extend(self.expectation.doubts)
        self.by_value = {event.value: event for event in self.expectation.events.values()}
        self.invalid_values = {letter.value for letter in self.expectation.dead_letters.values()}

    def run(self) -> Report:
        reasons = self._dead_letters()
        self._late()
        numbers: dict[str, dict[str, int]] = {}
        for topic in sorted(self.expectation.destinations | self._routed_topics()):
            self._destination(topic, numbers)
        on_time = [event for event in self.expectation.events.values() if event.event_id not in self.late]
        check_numbers(on_time, numbers, self.findings)
        windows, insights = WindowCount(), {}
        if self.terms.sales:
            windows = compare_windows((event for event in on_time if event.sales), self.outputs.of_topic(SALES), self.terms, self.findings)
            insights = compare_sales(on_time, self.outputs, self.terms, self.findings)
        if self.terms.recommendations:
            insights |= compare_recommendations(on_time, self.outputs, self.terms, self.findings)
        return Report(
            topics=self.counts,
            windows=windows,
            findings=self.findings,
            insights=insights,
            tolerated=frozenset() if self.terms.exactly_once else frozenset({Problem.DOUBLED}),
            events=len(self.expectation.events),
            copies=self.expectation.copies,
            late=len(self.late),
            late_unexplained=self.unexplained,
            dead_letters=dict(sorted(reasons.items())),
        )

    def _routed_topics(self) -> set[str]:
        return self.outputs.by_topic.keys() - {LATE, DEAD_LETTERS, FRAUD_ALERTS, SALES, *SALES_INSIGHTS, *RECOMMENDATIONS}

    def _event_of(self, output: Output) -> ExpectedEvent | None:
        """The event that an output is, and a finding if it is not exactly that; None if it is none of ours."""
        event = self.by_value.get(output.value or b"")
        if event is None:
            event = self._altered(output)
            if event is None:
                return None
        elif output.timestamp_ms != event.time_ms:
            self.findings.add(Problem.ALTERED, output.topic, "{} {}: timestamp {}", output.place, event, output.timestamp_ms)
        if output.header("event-id") != event.event_id:
            self.findings.add(Problem.WRONG_HEADER, output.topic, "{} {}: event-id {!r}", output.place, event, output.header("event-id"))
        return event

    def _altered(self, output: Output) -> ExpectedEvent | None:
        """Finds the event behind bytes that never came in, by their header or by what can still be read."""
        event = self.expectation.events.get(output.header("event-id") or "")
        if event is None:
            with suppress(DecodeError):
                event = self.expectation.events.get(Event.FromString(output.value or b"").event_id)
        if event is not None:
            self.findings.add(Problem.ALTERED, output.topic, "{} {}: bytes {!r}", output.place, event, output.value)
            return event
        invalid = (output.value or b"") in self.invalid_values
        why = "an invalid record, which must be a dead letter only" if invalid else "it never came in"
        self.findings.add(Problem.UNEXPECTED, output.topic, "{}: {}: {!r}", output.place, why, output.value)
        return None

    def _late(self) -> None:
        seen = self.outputs.of_topic(LATE)
        for output in seen:
            event = self._event_of(output)
            if event is None:
                continue
            if event.event_id in self.late:
                self.findings.add(Problem.DOUBLED, LATE, "{} {}", output.place, event)
                continue
            self.late[event.event_id] = event
            self._late_plausible(output, event)
            if output.key != event.session_id.encode():
                self.findings.add(Problem.WRONG_KEY, LATE, "{} {}: key {!r}", output.place, event, output.key)
            late_by = output.header("late-by-ms")
            if late_by is None or not (late_by.isascii() and late_by.isdigit()):
                self.findings.add(Problem.WRONG_HEADER, LATE, "{} {}: late-by-ms {!r}", output.place, event, late_by)
            missed = output.header("missed")
            prefix = self.terms.topic_prefix
            if missed is None or {name.removeprefix(prefix) for name in missed.split(";") if name} != event.ordered:
                self.findings.add(
                    Problem.WRONG_HEADER, LATE, "{} {}: missed {!r}, not {}", output.place, event, missed, sorted(event.ordered)
                )
        self.counts[LATE] = TopicCount(len(self.late), len(seen))

    def _late_plausible(self, output: Output, event: ExpectedEvent) -> None:
        """A watermark is the newest timestamp less the bound, or, by the heartbeat, the wall clock less the bound."""
        reach_ms = event.time_ms + self.terms.lateness_ms
        if event.overtaken_ms < reach_ms:
            self.unexplained += 1
            if self.terms.strict_late:
                self.findings.add(
                    Problem.NOT_LATE,
                    LATE,
                    "{} {}: the newest time before it in its partition is {}",
                    output.place,
                    event,
                    event.overtaken_ms,
                )
        if max(self.expectation.newest_ms, self.terms.now_ms) < reach_ms:
            text = "{} {}: no record and no clock was {} ms ahead of it"
            self.findings.add(Problem.NOT_LATE, LATE, text, output.place, event, self.terms.lateness_ms)

    def _destination(self, topic: str, numbers: dict[str, dict[str, int]]) -> None:
        events, outputs = self.expectation.events, self.outputs.of_topic(topic)
        seen: set[str] = set()
        in_order: list[tuple[Output, ExpectedEvent, int]] = []
        for output in outputs:
            event = self._event_of(output)
            if event is None:
                continue
            if topic not in event.destinations:
                self.findings.add(
                    Problem.MISROUTED, topic, "{} {}: belongs to {}", output.place, event, sorted(event.destinations) or "nowhere"
                )
                continue
            if topic in event.ordered and event.event_id in self.late:
                self.findings.add(Problem.LATE_AND_ORDERED, topic, "{} {}", output.place, event)
                continue
            if event.event_id in seen:
                self.findings.add(Problem.DOUBLED, topic, "{} {}", output.place, event)
                continue
            seen.add(event.event_id)
            number = self._headers(output, event)
            if number is not None:
                numbers.setdefault(event.event_id, {})[topic] = number
                in_order.append((output, event, number))
        check_order(topic, in_order, self.findings)
        due = [
            event for event in events.values() if topic in event.unordered or (topic in event.ordered and event.event_id not in self.late)
        ]
        for event in due:
            if event.event_id not in seen:
                self.findings.add(Problem.LOST, topic, "{}", event)
        self.counts[topic] = TopicCount(len(due), len(outputs))

    def _headers(self, output: Output, event: ExpectedEvent) -> int | None:
        """Checks a routed event's key and headers; returns its session number if it must have one and does."""
        topic = output.topic
        if output.key != event.session_id.encode():
            self.findings.add(Problem.WRONG_KEY, topic, "{} {}: key {!r}", output.place, event, output.key)
        event_type = output.header("event-type")
        if event_type != event.event_type and not (event_type is None and "event-type" in OPTIONAL_HEADERS):
            self.findings.add(Problem.WRONG_HEADER, topic, "{} {}: event-type {!r}", output.place, event, event_type)
        rules = output.header("rules")
        if rules is not None and not event.routes[topic] <= set(rules.split(";")) <= frozenset().union(*event.routes.values()):
            self.findings.add(
                Problem.WRONG_HEADER, topic, "{} {}: rules {!r}, not {}", output.place, event, rules, sorted(event.routes[topic])
            )
        sequence = output.header("session-seq")
        if topic in event.unordered:
            if sequence is not None:
                self.findings.add(
                    Problem.WRONG_HEADER, topic, "{} {}: session-seq {!r} where there is no order", output.place, event, sequence
                )
            return None
        if sequence is None or not (sequence.isascii() and sequence.isdigit()):
            self.findings.add(Problem.WRONG_HEADER, topic, "{} {}: session-seq {!r}", output.place, event, sequence)
            return None
        return int(sequence)

    def _dead_letters(self) -> Counter[str]:
        reasons: Counter[str] = Counter()
        seen: set[tuple[int, int]] = set()
        outputs = self.outputs.of_topic(DEAD_LETTERS)
        topic = self.terms.topic_prefix + EVENTS
        for output in outputs:
            reason = output.header("reason") or ""
            reasons[reason] += 1
            try:
                origin = (int(output.header("partition") or ""), int(output.header("offset") or ""))
            except ValueError:
                origin = (-1, -1)
            letter = self.expectation.dead_letters.get(origin)
            if letter is None or output.header("topic") != topic:
                headers = {name: output.header(name) for name in ("topic", "partition", "offset", "reason", "detail")}
                text = "{}: no invalid record is there: {}, value {!r}"
                self.findings.add(Problem.WRONG_ORIGIN, DEAD_LETTERS, text, output.place, headers, output.value)
                continue
            if origin in seen:
                self.findings.add(Problem.DOUBLED, DEAD_LETTERS, "{}: {}", output.place, letter)
                continue
            seen.add(origin)
            if (output.value or b"") != letter.value or output.timestamp_ms != letter.timestamp_ms:
                self.findings.add(
                    Problem.ALTERED,
                    DEAD_LETTERS,
                    "{}: {}: timestamp {}, value {!r}",
                    output.place,
                    letter,
                    output.timestamp_ms,
                    output.value,
                )
            if output.header("timestamp") != str(letter.timestamp_ms):
                self.findings.add(
                    Problem.WRONG_HEADER, DEAD_LETTERS, "{}: {}: timestamp {!r}", output.place, letter, output.header("timestamp")
                )
            if output.header("detail") is None:
                self.findings.add(Problem.WRONG_HEADER, DEAD_LETTERS, "{}: {}: no detail", output.place, letter)
            if output.key is not None:
                self.findings.add(Problem.WRONG_KEY, DEAD_LETTERS, "{}: {}: key {!r}", output.place, letter, output.key)
            if reason not in letter.reasons:
                self.findings.add(
                    Problem.WRONG_REASON, DEAD_LETTERS, "{}: {}: {!r}, not {}", output.place, letter, reason, sorted(letter.reasons)
                )
        for origin, letter in self.expectation.dead_letters.items():
            if origin not in seen:
                self.findings.add(Problem.LOST, DEAD_LETTERS, "{}", letter)
        self.counts[DEAD_LETTERS] = TopicCount(len(self.expectation.dead_letters), len(outputs))
        return reasons
