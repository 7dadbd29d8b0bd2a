"""What the parts of the checker hand to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

EVENTS = "events"
LATE = "events.late"
DEAD_LETTERS = "events.dead-letters"
SALES = "sales.by-category"
PER_MINUTE = "sales.per-minute"
TOP_PRODUCTS = "sales.top-products"
FUNNEL = "funnel.by-category"
SESSIONS = "sessions.closed"
SALES_PARTS = {
    "--no-totals": PER_MINUTE, "--no-top-products": TOP_PRODUCTS, "--no-funnel": FUNNEL, "--no-closed-sessions": SESSIONS,
}  # fmt: skip
"""Option of the job (and of the checker) that switches a part of the sales insights off -> its topic."""
SALES_INSIGHTS = tuple(SALES_PARTS.values())
BY_PRODUCT = "recommendations.by-product"
BY_USER = "recommendations.by-user"
TRENDING = "trending.by-category"
RECOMMENDATIONS = (BY_PRODUCT, BY_USER, TRENDING)
FRAUD_ALERTS = "fraud.alerts"
# Read even where no rule names them, so that an event in the wrong one is found.
USUAL_DESTINATIONS = ("orders", "session-activity", "fraud-detection", "payments")

# Of the headers of a routed event: right if they are there, but they may be left out.
OPTIONAL_HEADERS = frozenset({"rules", "event-type"})


class Output(NamedTuple):
    """A record that the job wrote; `topic` without the prefix."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def place(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"

    def header(self, name: str) -> str | None:
        """A header's text; None if it is not there, or is no UTF-8."""
        for key, value in self.headers:
            if key == name and value is not None:
                try:
                    return value.decode()
                except UnicodeDecodeError:
                    return None
        return None


class Sale(NamedTuple):
    """One line of an order."""

    category: str
    currency: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """A valid event, once, however many copies of it came in.

    `time_ms` is the record's timestamp: that is the job's event time. `routes` are the rules' ids for each destination.
    `overtaken_ms` is the highest timestamp that stood before it in its partition (before its first copy: later ones are dropped).
    """

    event_id: str
    session_id: str
    event_type: str
    time_ms: int
    key: bytes | None
    value: bytes
    partition: int
    offset: int
    ordered: frozenset[str]
    unordered: frozenset[str]
    routes: dict[str, frozenset[str]]
    sales: tuple[Sale, ...]
    overtaken_ms: int

    @property
    def destinations(self) -> frozenset[str]:
        return self.ordered | self.unordered

    def __str__(self) -> str:
        return (
            f"{self.event_type} {self.event_id} (session {self.session_id}, time {self.time_ms}, {EVENTS}[{self.partition}]@{self.offset})"
        )


@dataclass(frozen=True, slots=True)
class ExpectedDeadLetter:
    """An invalid record. More than one reason may be true of it; any one of them will do."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes
    reasons: frozenset[str]
    detail: str

    def __str__(self) -> str:
        return f"{EVENTS}[{self.partition}]@{self.offset} ({self.detail})"


class Problem(StrEnum):
    """Every way in which an output can be wrong. A LOST one may still be on its way; no other heals, but while output is still coming."""

    LOST = "lost"
    DOUBLED = "doubled"
    UNEXPECTED = "unexpected"
    MISROUTED = "misrouted"
    ALTERED = "altered"
    WRONG_HEADER = "wrong header"
    WRONG_KEY = "wrong key"
    UNORDERED = "unordered"
    WRONG_SEQUENCE = "wrong session-seq"
    LATE_AND_ORDERED = "late and ordered"
    NOT_LATE = "not late"
    WRONG_ORIGIN = "wrong origin"
    WRONG_REASON = "wrong reason"
    WRONG_SUM = "wrong sum"
    NOT_IN_TOPIC = "not in topic"
    ORACLE_DOUBT = "oracle doubt"


class Findings:
    """Counts problems by kind and topic, and keeps the first few of each in words."""

    def __init__(self, examples: int = 10) -> None:
        self.counts: Counter[tuple[Problem, str]] = Counter()
        self.examples: dict[tuple[Problem, str], list[str]] = {}
        self._keep = examples

    def add(self, problem: Problem, topic: str, text: str, *args: object) -> None:
        """`text` is formatted with `args` only if it is kept."""
        self.counts[problem, topic] += 1
        kept = self.examples.setdefault((problem, topic), [])
        if len(kept) < self._keep:
            kept.append(text.format(*args))

    def extend(self, other: Findings) -> None:
        self.counts.update(other.counts)
        for place, examples in other.examples.items():
            self.examples[place] = (self.examples.get(place, []) + examples)[: self._keep]

    def count(self, problem: Problem, topic: str | None = None) -> int:
        return sum(number for (kind, where), number in self.counts.items() if kind is problem and topic in (None, where))

    def kinds(self) -> set[Problem]:
        return {problem for problem, _ in self.counts}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come out of the given input. `doubts` are contradictions inside the input or the checker itself."""

    events: dict[str, ExpectedEvent]
    dead_letters: dict[tuple[int, int], ExpectedDeadLetter]
    records: int
    copies: int
    newest_ms: int
    destinations: frozenset[str]
    doubts: Findings


@dataclass(frozen=True, slots=True)
class Outputs:
    """All that the job wrote, by topic, each topic in the order of its partitions' logs."""

    by_topic: dict[str, list[Output]]

    @classmethod
    def of(cls, outputs: Iterable[Output]) -> Outputs:
        by_topic: dict[str, list[Output]] = {}
        for output in outputs:
            by_topic.setdefault(output.topic, []).append(output)
        return cls(by_topic)

    def of_topic(self, topic: str) -> list[Output]:
        return self.by_topic.get(topic, [])


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with the job at its start (see its options), and how strict to be.

    `until_ms`: all windows that end by then must be out; windows that end after the newest one seen are open otherwise.
    `sales`: the job has the sales insights, but for the topics `switched_off`. `totals_ms`, `session_gap_ms`, `session_step_ms` and
    `payment_within_ms` are theirs.
    `recommendations`: check those as well, with the lengths behind it. `ties_in_log_order`: parallelism 1, so that events of a session
    with the same millisecond are in the order of the log.
    `strict_late`: an event may be late only if its own partition had overtaken it; not so after a partition was idle.
    """

    lateness_ms: int = 2_000
    window_ms: int = 300_000
    slide_ms: int = 10_000
    sales: bool = True
    switched_off: frozenset[str] = frozenset()
    totals_ms: int = 60_000
    session_gap_ms: int = 1_800_000
    session_step_ms: int = 60_000
    payment_within_ms: int = 3_600_000
    recommendations: bool = False
    recommendation_window_ms: int = 10_000
    recommendation_half_life_ms: int = 86_400_000
    trending_half_life_ms: int = 1_800_000
    ties_in_log_order: bool = False
    exactly_once: bool = True
    strict_late: bool = False
    until_ms: int | None = None
    now_ms: int = 0
    topic_prefix: str = ""
    examples: int = 10

    @property
    def top_slide_ms(self) -> int:
        """Top products slide five times in a window, unless the window's slides can't be put into five groups."""
        return self.slide_ms if (self.window_ms // self.slide_ms) % 5 else self.window_ms // 5


@dataclass(frozen=True, slots=True)
class TopicCount:
    """Of a topic: how many records must be there, and how many are."""

    expected: int
    seen: int


@dataclass(frozen=True, slots=True)
class WindowCount:
    """Of windows (one for each start, category and currency; or what a row of another insight is): `open` ones may still come."""

    equal: int = 0
    wrong: int = 0
    lost: int = 0
    open: int = 0
    newest_end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict. `tolerated` problems are counted, but do not fail (doubles under at-least-once)."""

    topics: dict[str, TopicCount]
    windows: WindowCount
    findings: Findings
    insights: dict[str, WindowCount] = field(default_factory=dict)
    tolerated: frozenset[Problem] = frozenset()
    events: int = 0
    copies: int = 0
    late: int = 0
    late_unexplained: int = 0
    dead_letters: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> dict[tuple[Problem, str], int]:
        return {place: number for place, number in self.findings.counts.items() if place[0] not in self.tolerated}

    @property
    def ok(self) -> bool:
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "events": self.events,
            "copies": self.copies,
            "late": self.late,
            "late_unexplained": self.late_unexplained,
            "topics": {topic: {"expected": count.expected, "seen": count.seen} for topic, count in self.topics.items()},
            "dead_letters": self.dead_letters,
            "windows": asdict(self.windows),
            "insights": {topic: asdict(count) for topic, count in self.insights.items()},
            "problems": [
                {
                    "problem": problem.value,
                    "topic": topic,
                    "count": number,
                    "tolerated": problem in self.tolerated,
                    "examples": self.findings.examples[problem, topic],
                }
                for (problem, topic), number in sorted(self.findings.counts.items())
            ],
            "notes": list(self.notes),
        }
