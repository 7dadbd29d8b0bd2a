"""Everything that the view knows, and how it changes; no Kafka, no Flink, no terminal, no clock of its own."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scripts.demo_app.alerts import Alert, decode_alert, decode_signal
from scripts.demo_app.sales import NewestWindows, decode_window
from scripts.outputs.flink import Checkpoint
from scripts.outputs.rates import Rate
from scripts.outputs.record import Offsets, Record, Unreadable
from scripts.outputs.rules import RulesInForce, decode_status

EVENTS: Final = "events"
FRAUD: Final = "fraud-detection"
ROUTED: Final = ("orders", "payments", "session-activity", FRAUD)
LATE: Final = "events.late"
DEAD_LETTERS: Final = "events.dead-letters"
SALES: Final = "sales.by-category"
RULE_STATUS: Final = "rules.status"
FRAUD_ALERTS: Final = "fraud.alerts"
OUTPUTS: Final = (*ROUTED, FRAUD_ALERTS, LATE, DEAD_LETTERS, SALES, RULE_STATUS)

_LAST_ALERTS: Final = 5
_LAST_SIGNALS: Final = 3
"""Of fraud.alerts: they come before those of fraud-detection, which gets every failed payment."""
# The job has seven reasons. More than this many can only be somebody else's, and must not fill the memory.
_MOST_REASONS: Final = 50
_OTHER_REASONS: Final = "other"


@dataclass(frozen=True, slots=True)
class Totals:
    """What came while the view ran. `topics` counts records by topic (without prefix), `dead_letters` by reason."""

    topics: Mapping[str, int]
    dead_letters: Mapping[str, int]
    unreadable: int = 0

    @property
    def late(self) -> int:
        return self.topics.get(LATE, 0)

    @property
    def alerts(self) -> int:
        return self.topics.get(FRAUD, 0)

    @property
    def windows(self) -> int:
        """Results of windows: one for each window, category and currency."""
        return self.topics.get(SALES, 0)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """`checkpoint` and `restarts` are None while Flink has nothing to say of them."""

    state: str
    checkpoint: Checkpoint | None = None
    restarts: int | None = None


@dataclass
class ViewState:
    """Changed by `observe` and the other verbs, read by render.py and report.py. Not safe for threads: live.py locks."""

    counts: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    alerts: deque[Alert] = field(default_factory=lambda: deque(maxlen=_LAST_ALERTS))
    signals: deque[Alert] = field(default_factory=lambda: deque(maxlen=_LAST_SIGNALS))
    sales: NewestWindows = field(default_factory=NewestWindows)
    rules: RulesInForce = field(default_factory=RulesInForce)
    rates: dict[str, Rate] = field(default_factory=lambda: {topic: Rate() for topic in (EVENTS, *OUTPUTS)})
    offsets: Offsets | None = None
    kafka_answers: bool | None = None  # None: not asked yet
    job: JobStatus | None = None
    flink_answers: bool | None = None
    unreadable: int = 0
    last_unreadable: str = ""

    def observe(self, record: Record) -> None:
        """Takes one record of an output topic. One that can't be read still counts; it never ends the view."""
        self.counts[record.topic] += 1
        try:
            if record.topic == FRAUD:
                self.alerts.append(decode_alert(record))
            elif record.topic == FRAUD_ALERTS:
                self.signals.append(decode_signal(record))
            elif record.topic == DEAD_LETTERS:
                self._count_dead_letter(record)
            elif record.topic == SALES:
                self.sales.observe(decode_window(record))
            elif record.topic == RULE_STATUS:
                self.rules.observe(decode_status(record))
        except Unreadable as error:
            self.unreadable += 1
            self.last_unreadable = str(error)

    def _count_dead_letter(self, record: Record) -> None:
        reason = record.headers.get("reason", b"").decode(errors="replace")[:100] or "no reason"
        if reason not in self.dead_letters and len(self.dead_letters) >= _MOST_REASONS:
            reason = _OTHER_REASONS
        self.dead_letters[reason] += 1

    def kafka_said(self, offsets: Offsets, now_s: float) -> None:
        """Kafka has answered. The input is counted by its offsets: reading it a second time would only slow the job."""
        self.kafka_answers = True
        self.offsets = offsets
        self.counts[EVENTS] = max(self.counts[EVENTS], offsets.arrived)
        self.rates[EVENTS].sample(now_s, self.counts[EVENTS])

    def kafka_silent(self) -> None:
        self.kafka_answers = False

    def flink_said(self, job: JobStatus) -> None:
        self.flink_answers = True
        self.job = job

    def flink_silent(self) -> None:
        self.flink_answers = False

    def tick(self, now_s: float) -> None:
        """To be called about twice a second: what the rates are made of."""
        for topic in OUTPUTS:
            self.rates[topic].sample(now_s, self.counts[topic])

    def totals(self) -> Totals:
        """A copy that changes no more."""
        return Totals({topic: self.counts[topic] for topic in (EVENTS, *OUTPUTS)}, dict(self.dead_letters), self.unreadable)
