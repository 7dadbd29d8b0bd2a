"""Every setting of the job: typed, frozen, in one place. The command line (jobs/main.py) is derived from these classes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from udfs.kafka_client import Brokers, Login
from udfs.rules.destinations import Destinations, is_pattern

ORIGIN_HEADERS: Final = ("reason", "detail", "topic", "partition", "offset", "timestamp")
"""Headers of a dead letter: why it is one, and where it came from."""

STARTS: Final = ("earliest-offset", "latest-offset", "group-offsets")
PYTHON_MODES: Final = ("cluster", "thread", "process")

# Names under which a job says of itself (Flink's global job parameters) what it was started with.
OPTIONS: Final = "millrace.options"
"""The options of jobs/main.py that differ from its defaults, a JSON list of arguments."""
RELEASE: Final = "millrace.release"
"""Digest of the code and baseline rules (jobs/shipping.py)."""
_SECRET: Final = re.compile(r"password|secret|jaas|token|credential|assertion|private|keystore\.key|user\.info", re.IGNORECASE)

_POSITIVE: Final = (
    "checkpoint_interval_ms", "idle_ms", "max_drift_ms", "memory_ms", "window_ms", "slide_ms", "watermark_interval_ms", "max_event_bytes",
    "rule_counters_ms", "session_gap_ms", "session_step_ms", "totals_ms", "payment_within_ms", "fraud_window_ms",
    "recommendation_window_ms", "recommendation_half_life_ms", "trending_half_life_ms", "recommendation_memory_ms",
)  # fmt: skip
_TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9._*-]+")
# Kafka client properties that have an option of their own.
_OWN_OPTIONS: Final = {
    "bootstrap.servers": "--bootstrap",
    "group.id": "--group-id",
    "transaction.timeout.ms": "--transaction-timeout-ms",
}
# Flink's configuration that has an option of its own.
_OWN_FLINK_OPTIONS: Final = {
    "parallelism.default": "--parallelism",
    "python.execution-mode": "--python-mode",
    "pipeline.auto-watermark-interval": "--watermark-interval-ms",
    "execution.buffer-timeout.interval": "--buffer-timeout-ms",
    "execution.checkpointing.interval": "--checkpoint-interval-ms",
    "state.backend.type": "--state-backend",
    "table.exec.state.ttl": "--memory-ms",
}


class Guarantee(StrEnum):
    """Delivery guarantee of the outputs; the state inside the job is exactly-once either way."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


class StateBackend(StrEnum):
    """Where keyed state lives."""

    HASHMAP = "hashmap"
    ROCKSDB = "rocksdb"


class RecommendTo(StrEnum):
    """Which sessions get a list of next items of their own; each is a message for each window in which it is active."""

    ALL = "all"
    USERS = "users"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Topics:
    """The names of the Kafka topics. `prefix` goes before each, so that several jobs can share one broker."""

    prefix: str = ""
    destinations: tuple[str, ...] = ("orders", "payments", "session-activity", "fraud-detection")

    @property
    def events(self) -> str:
        """Input: shop.v1.Event bytes, key = session id, record timestamp = when it happened."""
        return self.prefix + "events"

    @property
    def heartbeat(self) -> str:
        """A few records a second by the job itself, so that event time goes on when no events come."""
        return self.prefix + "events.heartbeat"

    @property
    def rules(self) -> str:
        """Input, compacted: key = rule id, value = the rule as JSON."""
        return self.prefix + "rules"

    @property
    def rule_status(self) -> str:
        """Output: what each subtask made of each rule update."""
        return self.prefix + "rules.status"

    @property
    def rule_audit(self) -> str:
        """Not of the job: scripts/millrace writes down here who changed which rule, when, why and how. Kept for ever."""
        return self.prefix + "rules.audit"

    @property
    def late(self) -> str:
        """Output: events that came after the watermark had passed them."""
        return self.prefix + "events.late"

    @property
    def dead_letters(self) -> str:
        """Output: records that can't be processed, as they came, with the reason."""
        return self.prefix + "events.dead-letters"

    @property
    def replays(self) -> str:
        """Not of the job: scripts/millrace writes down here which late events and dead letters it has replayed, compacted."""
        return self.prefix + "events.replays"

    @property
    def sales(self) -> str:
        """Output: the sliding sales windows."""
        return self.prefix + "sales.by-category"

    @property
    def sales_per_minute(self) -> str:
        """Output: orders, payments and revenue at risk by currency, minute by minute."""
        return self.prefix + "sales.per-minute"

    @property
    def top_products(self) -> str:
        """Output: the products that sold best in each sliding window, by currency."""
        return self.prefix + "sales.top-products"

    @property
    def funnel(self) -> str:
        """Output: views, carts, orders and payments by category, in sliding windows."""
        return self.prefix + "funnel.by-category"

    @property
    def sessions(self) -> str:
        """Output: a record for each session that has ended: length, depth, abandoned cart."""
        return self.prefix + "sessions.closed"

    @property
    def fraud_alerts(self) -> str:
        """Output: alerts with their score, reasons and evidence."""
        return self.prefix + "fraud.alerts"

    @property
    def product_recommendations(self) -> str:
        """Output, compacted: key = product, value = also viewed, also bought."""
        return self.prefix + "recommendations.by-product"

    @property
    def user_recommendations(self) -> str:
        """Output, compacted: key = user (or session, while nobody is signed in), value = what comes next."""
        return self.prefix + "recommendations.by-user"

    @property
    def trending(self) -> str:
        """Output, compacted: key = category, value = its trending products."""
        return self.prefix + "trending.by-category"

    def sales_insights(self) -> tuple[str, ...]:
        """The topics of the sales insight and its parts."""
        return (self.sales, self.sales_per_minute, self.top_products, self.funnel, self.sessions)

    def insights(self) -> tuple[str, ...]:
        """The topics of all insights."""
        return (*self.sales_insights(), self.fraud_alerts, self.product_recommendations, self.user_recommendations, self.trending)

    def own(self) -> frozenset[str]:
        """The topics that rules must not route to: a loop, or a form of their own."""
        inputs = {self.events, self.heartbeat, self.rules}
        return frozenset(inputs | {self.rule_status, self.rule_audit, self.late, self.dead_letters, self.replays, *self.insights()})

    def routed(self) -> dict[str, str]:
        """Destination as rules name it -> topic; without those that only a pattern allows."""
        return {destination: self.prefix + destination for destination in self.destinations if not is_pattern(destination)}

    def allowed(self) -> Destinations:
        """What rules may name, without the prefix."""
        return Destinations(self.destinations, frozenset(topic.removeprefix(self.prefix) for topic in self.own()), self.prefix)


@dataclass(frozen=True)
class Settings:
    """What one job does. Times are in milliseconds."""

    bootstrap: str = field(default="localhost:9092", metadata={"help": "Kafka brokers, host:port[,host:port]"})
    topic_prefix: str = field(default="", metadata={"help": "put before every topic name"})
    destinations: tuple[str, ...] = field(
        default=Topics.destinations,
        metadata={
            "help": "topics that rules may route to, comma-separated: names, of topics that exist, and patterns such as campaign.*, "
            "of topics that the job makes when a rule names them"
        },
    )
    group_id: str = field(default="millrace", metadata={"help": "consumer group, for lag monitoring; also in transactional ids"})
    kafka_config: str = field(
        default="",
        metadata={"help": "file, on every host, that says how to log in to Kafka (TLS, SASL): docs/security.md"},
    )
    kafka_property: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Kafka client property of every source and sink, over the job's own choice; may be repeated",
            "repeat": "KEY=VALUE",
        },
    )
    flink_property: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "of this job's Flink configuration, over the job's own choice and the cluster's; may be repeated",
            "repeat": "KEY=VALUE",
        },
    )
    rules: str = field(default="rules", metadata={"help": "folder of the baseline rules (*.yaml), in force before any update"})
    start: str = field(
        default="earliest-offset",
        metadata={"help": "where a job without state starts to read", "choices": STARTS},
    )
    bounded: bool = field(default=False, metadata={"help": "stop at the end of the topic as it is at the start (backfills, benchmarks)"})

    guarantee: Guarantee = field(default=Guarantee.EXACTLY_ONCE, metadata={"help": "delivery guarantee of all outputs"})
    checkpoint_interval_ms: int = field(
        default=2_000, metadata={"help": "time between checkpoints; with exactly-once, outputs become visible at this pace"}
    )
    transaction_timeout_ms: int = field(
        default=840_000,
        metadata={"help": "longest outage that loses no output; at most the broker's transaction.max.timeout.ms (default 900000)"},
    )
    state_backend: StateBackend = field(
        default=StateBackend.ROCKSDB,
        metadata={"help": "rocksdb: state on disk, checkpoints hold what changed; hashmap: on the heap, each checkpoint holds all of it"},
    )

    lateness_ms: int = field(default=2_000, metadata={"help": "how much disorder is waited for; what comes later is late"})
    idle_ms: int = field(default=10_000, metadata={"help": "a partition silent for so long no longer holds event time back"})
    max_drift_ms: int = field(default=60_000, metadata={"help": "watermark alignment: how far one source subtask may run ahead"})
    heartbeat: bool = field(default=True, metadata={"help": "let event time follow the clock while no events come; off for old data"})
    deduplication: bool = field(
        default=True, metadata={"help": "drop copies of events seen within memory_ms; off only where no producer ever sends one twice"}
    )
    order: bool = field(
        default=True,
        metadata={
            "help": "order and number the events of each session, which fraud and recommendations need; off: nothing waits, nothing is "
            "late but for sales, and rules must say order: none"
        },
    )
    order_heap_bytes: int = field(
        default=67_108_864,
        metadata={"help": "how much each subtask keeps on its heap of events that wait for their turn; more than that waits in the state"},
    )
    memory_ms: int = field(
        default=3_600_000, metadata={"help": "how long an event id is remembered (duplicates) and a silent session's numbering"}
    )
    window_ms: int = field(default=300_000, metadata={"help": "size of the sliding sales windows"})
    slide_ms: int = field(default=10_000, metadata={"help": "slide of the sales windows; must divide the size"})

    sales: bool = field(default=True, metadata={"help": "insight: sales in sliding windows, and the four that follow"})
    totals: bool = field(default=True, metadata={"help": "part of sales: orders, payments and revenue at risk by minute"})
    top_products: bool = field(default=True, metadata={"help": "part of sales: the products that sell best"})
    funnel: bool = field(default=True, metadata={"help": "part of sales: views, carts, orders and payments by category"})
    closed_sessions: bool = field(default=True, metadata={"help": "part of sales: sessions that have ended, and carts left behind"})
    fraud: bool = field(default=True, metadata={"help": "insight: fraud detection"})
    recommendations: bool = field(default=True, metadata={"help": "insight: recommendations and trends"})
    totals_ms: int = field(default=60_000, metadata={"help": "length of the windows of sales.per-minute"})
    payment_within_ms: int = field(
        default=3_600_000, metadata={"help": "a payment counts in the funnel up to so long after its order, but no longer than memory_ms"}
    )
    fraud_min_score: float = field(default=50.0, metadata={"help": "alerts of a lower score (0-100) are not written"})
    fraud_window_ms: int = field(default=600_000, metadata={"help": "signals of one subject that are so close together make one score"})
    session_gap_ms: int = field(default=1_800_000, metadata={"help": "a session silent for longer has ended"})
    session_step_ms: int = field(
        default=60_000, metadata={"help": "a session's end is seen up to so much later than the gap; smaller costs more, 1 is exact"}
    )

    recommendation_window_ms: int = field(default=10_000, metadata={"help": "recommendations and trends change at most once in so long"})
    recommendation_half_life_ms: int = field(
        default=86_400_000, metadata={"help": "what was looked at or bought together counts half after so long"}
    )
    trending_half_life_ms: int = field(default=1_800_000, metadata={"help": "the same for trends"})
    recommendation_memory_ms: int = field(
        default=604_800_000, metadata={"help": "a product or category that nobody looked at for so long (at most twice that) is forgotten"}
    )
    recommend_to: RecommendTo = field(
        default=RecommendTo.ALL, metadata={"help": "sessions that get next items of their own: all, those of signed-in users, or nobody's"}
    )

    mask_key_file: str = field(
        default="", metadata={"help": "file, on every host, with the key of the hash that masks fields; without it no rule can mask"}
    )
    rule_counters_ms: int = field(default=10_000, metadata={"help": "time between two reports of the rules' counters on rules.status"})

    max_clock_gap_ms: int = field(default=3_600_000, metadata={"help": "largest gap between an event's time and its record's"})
    max_event_bytes: int = field(default=1_000_000, metadata={"help": "larger events are dead letters"})
    dead_letter_share_limit: float = field(default=0.05, metadata={"help": "share of dead letters (0-1) that is warned of"})

    parallelism: int = field(default=0, metadata={"help": "of all operators; 0: the cluster's default"})
    python_mode: str = field(
        default="cluster",
        metadata={
            "help": "how Python runs: in the TaskManager (thread), in worker processes (process), or as the cluster's "
            "configuration says; thread needs the set-up described in docs/operations.md",
            "choices": PYTHON_MODES,
        },
    )
    buffer_timeout_ms: int = field(default=5, metadata={"help": "longest wait of a record in a network buffer on its way to a route"})
    insight_buffer_timeout_ms: int = field(default=100, metadata={"help": "the same on the way to sales and recommendations"})
    watermark_interval_ms: int = field(default=50, metadata={"help": "how often watermarks go out"})

    def __post_init__(self) -> None:
        for name in ("bootstrap", "group_id"):
            _require(bool(getattr(self, name).strip()), name, getattr(self, name), "must not be empty")
        for name in _POSITIVE:
            _require(getattr(self, name) > 0, name, getattr(self, name), "must be > 0")
        for name in (
            "lateness_ms", "buffer_timeout_ms", "insight_buffer_timeout_ms", "max_clock_gap_ms", "order_heap_bytes", "parallelism",
        ):  # fmt: skip
            _require(getattr(self, name) >= 0, name, getattr(self, name), "must be >= 0")
        _require(self.window_ms % self.slide_ms == 0, "slide_ms", self.slide_ms, f"must divide window_ms ({self.window_ms})")
        ordered = [name for name in ("fraud", "recommendations") if getattr(self, name)]
        _require(self.order or not ordered, "order", self.order, f"must be on for {', '.join(ordered)}: switch them off too")
        _require(0 <= self.fraud_min_score <= 100, "fraud_min_score", self.fraud_min_score, "must be in [0, 100]")
        _require(
            self.recommendation_memory_ms >= self.recommendation_window_ms, "recommendation_memory_ms", self.recommendation_memory_ms,
            f"must be at least recommendation_window_ms ({self.recommendation_window_ms})",
        )  # fmt: skip
        _require(bool(self.destinations), "destinations", self.destinations, "must name at least one topic")
        _require(len(set(self.destinations)) == len(self.destinations), "destinations", self.destinations, "must name each topic once")
        for name in self.destinations:
            _require(bool(_TOPIC_NAME.fullmatch(name)), "destinations", name, "must be letters, digits, '.', '_' or '-' ('*': a pattern)")
            _require(not name.startswith("*"), "destinations", name, "must begin with what its topics begin with, and not with '*'")
            _require(self.topic_prefix + name not in self.topics.own(), "destinations", name, "must not be a topic of the job itself")
        _require(0 < self.dead_letter_share_limit <= 1, "dead_letter_share_limit", self.dead_letter_share_limit, "must be in (0, 1]")
        _require(
            self.transaction_timeout_ms > self.checkpoint_interval_ms, "transaction_timeout_ms", self.transaction_timeout_ms,
            f"must be longer than checkpoint_interval_ms ({self.checkpoint_interval_ms})",
        )  # fmt: skip
        for name, allowed in (("start", STARTS), ("python_mode", PYTHON_MODES)):
            _require(getattr(self, name) in allowed, name, getattr(self, name), f"must be one of {', '.join(allowed)}")
        for name, own in (("kafka_property", _OWN_OPTIONS), ("flink_property", _OWN_FLINK_OPTIONS)):
            for each in getattr(self, name):
                key, equals, _ = each.partition("=")
                _require(bool(key and equals), name, each, "must be key=value")
                _require(key not in own, name, each, f"must be given as {own.get(key)}")
        for each in self.kafka_property:
            key, _, value = each.partition("=")
            _require_harmless(key, value, topics_are_made=self.topics.allowed().has_patterns)
        for key in self.flink_properties:
            if _SECRET.search(key):
                raise ValueError(f"--flink-property {key} may hold a secret, which everybody could read there: it is the cluster's to know")
        if self.kafka_config:
            try:
                Login(self.kafka_config)
            except ValueError as error:
                raise ValueError(f"--kafka-config {error}") from error

    @property
    def topics(self) -> Topics:
        return Topics(self.topic_prefix, self.destinations)

    @property
    def top_slide_ms(self) -> int:
        """Slide of sales.top-products: a fifth of the window, if that is a multiple of its slide, else the slide itself.

        At each slide, every product that sold in the window is read once for each slide in it: at 30 slides more reads than events.
        """
        slides = self.window_ms // self.slide_ms
        return self.window_ms // 5 if slides % 5 == 0 else self.slide_ms

    @property
    def insight_topics(self) -> tuple[str, ...]:
        """The topics of the insights that are switched on."""
        topics = self.topics
        parts = {
            topics.sales_per_minute: self.totals, topics.top_products: self.top_products, topics.funnel: self.funnel,
            topics.sessions: self.closed_sessions,
        }  # fmt: skip
        written = {
            **{topic: self.sales and parts.get(topic, True) for topic in topics.sales_insights()},
            topics.fraud_alerts: self.fraud,
            **dict.fromkeys((topics.product_recommendations, topics.user_recommendations, topics.trending), self.recommendations),
        }
        return tuple(topic for topic, on in written.items() if on)

    @property
    def brokers(self) -> Brokers:
        return Brokers(self.bootstrap, self.kafka_config)

    @property
    def client_properties(self) -> dict[str, str]:
        """Kafka client properties, key -> value; no secret, see Login.java."""
        login = Login(self.kafka_config).java() if self.kafka_config else {}
        return login | dict(each.split("=", 1) for each in self.kafka_property)

    @property
    def flink_properties(self) -> dict[str, str]:
        """What stands over the job's own choice of Flink's configuration, key -> value."""
        return dict(each.split("=", 1) for each in self.flink_property)


def _require_harmless(key: str, value: str, *, topics_are_made: bool) -> None:
    """Options can be read by all on this host (ps), and by all who reach the web UI. The message shows no value for that reason."""
    if _SECRET.search(key) and not (key == "sasl.jaas.config" and "password" not in value) and "${" not in value:
        raise ValueError(f"--kafka-property {key} may hold a secret, which everybody could read there: put it into --kafka-config")
    if topics_are_made and key.startswith(("security.", "ssl.", "sasl.")):
        raise ValueError(
            f"--kafka-property {key} does not go with patterns in --destinations: the client that makes topics reads --kafka-config only"
        )


def _require(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"--{name.replace('_', '-')} is {value!r}, {allowed}")
