"""The model behind `scripts/millrace plan`: pure arithmetic, from a load and the costs of an event to the size of a cluster.

docs/sizing.md has the formulas and says what they can't know. Each figure carries its formula in words.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from scripts.planning.costs import Costs, CostsError, Job

_SINKS: Final = {"": 5, "sales": 5, "fraud": 1, "recommendations": 3}
"""Transactional sinks: of routing (at once, in order, late, dead letters, rules.status), and of each insight. The heartbeat has none."""
_KEY_GROUPS: Final = 8
"""Key groups for each subtask: at 8, the subtask with most of them has at most an eighth more than the mean."""
_MOST_KEY_GROUPS: Final = 32_768


@dataclass(frozen=True)
class Load:
    """What is asked for. Rates are of events per second; shares are from 0 to 1.

    `sessions_per_s`: sessions that begin; None: as many for each event as in the stream that was measured. `order_share`: None likewise.
    `outage_s`, `catch_up_s`: after so long without the job, it must be up to date again so soon. `growth`: how much larger the load may get
    before partitions have to be added.
    """

    events_per_s: float
    event_bytes: float | None = None
    insights: frozenset[str] = frozenset({"sales", "fraud", "recommendations"})
    state_backend: str = "rocksdb"
    sessions_per_s: float | None = None
    order_share: float | None = None
    memory_s: float = 3_600
    checkpoint_s: float = 2
    utilisation: float = 0.6
    outage_s: float = 600
    catch_up_s: float = 1_800
    replication: int = 3
    retention_s: float = 86_400
    growth: float = 2
    broker_cores: float = 8
    broker_mb_per_s: float = 200

    def __post_init__(self) -> None:
        for name in ("events_per_s", "memory_s", "checkpoint_s", "catch_up_s", "broker_cores", "broker_mb_per_s"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("event_bytes", "sessions_per_s", "order_share"):
            given = getattr(self, name)
            _require(given is None or given > 0, name, given, "above 0")
        for name in ("outage_s", "retention_s"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(0 < self.utilisation <= 1, "utilisation", self.utilisation, "above 0 and at most 1")
        _require(self.order_share is None or self.order_share <= 1, "order_share", self.order_share, "at most 1")
        _require(self.growth >= 1 and self.replication >= 1, "growth and replication", (self.growth, self.replication), "1 or more")


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise CostsError(f"{name.replace('_', '-')} is {value}, and must be {wanted}")


@dataclass(frozen=True)
class Figure:
    """One number of a plan. `formula` in words, with the numbers that went in."""

    name: str
    value: float
    unit: str
    formula: str


@dataclass(frozen=True)
class Plan:
    """The size of a cluster, and what to mind about it."""

    load: Load
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        return next(figure.value for figure in self.figures if figure.name == name)

    def as_json(self) -> dict[str, Any]:
        asked = asdict(self.load) | {"insights": sorted(self.load.insights)}
        return {"load": asked, "plan": {each.name: each.value for each in self.figures},
                "formulas": {each.name: each.formula for each in self.figures}, "notes": list(self.notes)}  # fmt: skip


def make(load: Load, costs: Costs) -> Plan:
    """Plans a cluster for the load.

    Raises:
        CostsError: no job of this kind was measured.
    """
    job, routing = costs.job(load.state_backend, load.insights), costs.job(load.state_backend, frozenset())
    event_bytes = load.event_bytes or costs.stream.event_bytes
    wider = max(1.0, event_bytes / costs.stream.event_bytes)
    more_orders = max(1.0, (load.order_share or costs.stream.order_share) / costs.stream.order_share)
    figures: list[Figure] = []

    def add(name: str, value: float, unit: str, formula: str) -> float:
        figures.append(Figure(name, value, unit, formula))
        return value

    # -- how fast it must be able to go ---------------------------------------------------------------------------------------------
    rate = load.events_per_s
    catch_up = 1 + load.outage_s / load.catch_up_s
    capacity = add(
        "capacity", rate * max(1 / load.utilisation, catch_up), "events/s",
        f"{rate:,.0f} x the larger of 1 / utilisation ({1 / load.utilisation:.2f}) and 1 + outage / time to catch up ({catch_up:.2f})",
    )  # fmt: skip

    # -- Flink ----------------------------------------------------------------------------------------------------------------------
    def with_orders(of_job: float, of_routing: float) -> float:
        """What the insights add grows with the orders: an upper bound, since views and carts cost as well."""
        return of_job + max(0.0, of_job - of_routing) * (more_orders - 1)

    cpu_us = add(
        "flink_cpu_per_event", with_orders(job.flink_cpu_us, routing.flink_cpu_us) * wider, "us",
        f"measured {job.flink_cpu_us:g} us with {_named(job)}{_times('orders', more_orders)}{_times('size of an event', wider)}",
    )  # fmt: skip
    slot_us = with_orders(1e6 / job.events_per_s, 1e6 / routing.events_per_s) * wider
    busiest_us = with_orders(job.busiest_thread_us, routing.busiest_thread_us) * wider
    cores = add("flink_cores", capacity * cpu_us / 1e6, "cores", f"capacity x {cpu_us:.1f} us")
    parallelism = add(
        "task_managers", math.ceil(round(capacity * slot_us / 1e6, 9)), "",
        f"one slot each, so the parallelism too: capacity / {1e6 / slot_us:,.0f} events/s, what one slot was seen to do, rounded up",
    )  # fmt: skip
    add(
        "task_managers_at_least", math.ceil(round(capacity * busiest_us / 1e6, 9)), "",
        f"with cores to spare: capacity x {busiest_us:.1f} us of the busiest thread; a task is one thread",
    )  # fmt: skip
    add("cores_per_task_manager", cores / parallelism, "cores", "flink_cores / task_managers")
    partitions = add(
        "partitions", parallelism * math.ceil(load.growth), "",
        f"task_managers x {math.ceil(load.growth)} for growth: more of them later would break the order of running sessions",
    )  # fmt: skip
    add(
        "max_parallelism", min(_MOST_KEY_GROUPS, max(128, 1 << math.ceil(math.log2(partitions * _KEY_GROUPS)))), "",
        f"pipeline.max-parallelism, fixed at the first start: partitions x {_KEY_GROUPS}, as a power of two",
    )  # fmt: skip

    # -- state ----------------------------------------------------------------------------------------------------------------------
    sessions = load.sessions_per_s or rate / costs.stream.events_per_session
    usual = rate / costs.stream.events_per_session
    ids = rate * load.memory_s * job.id_state_bytes
    open_sessions = sessions / usual * rate * load.memory_s * job.session_state_bytes
    state = add(
        "checkpoint_full", (ids + open_sessions) / 1e9, "GB",
        f"memory {load.memory_s:,.0f} s x ({rate:,.0f} events/s x {job.id_state_bytes:g} B of ids"
        f" + {sessions:,.0f} sessions/s x {job.session_state_bytes * costs.stream.events_per_session:,.0f} B)",
    )  # fmt: skip
    add("state_per_task_manager", state / parallelism, "GB", "checkpoint_full / task_managers: disk for rocksdb, heap for hashmap")
    if load.state_backend == "rocksdb":
        upload = rate * job.uploaded_bytes * max(1.0, sessions / usual)
        formula = f"{rate:,.0f} x {job.uploaded_bytes:g} B: what is new, and what RocksDB has merged"
    else:
        upload = state * 1e9 / load.checkpoint_s
        formula = f"checkpoint_full / interval of {load.checkpoint_s:g} s: the heap is written as a whole each time"
    add("checkpoint_upload", upload / 1e6, "MB/s", formula)

    # -- Kafka and the network ------------------------------------------------------------------------------------------------------
    out_bytes = job.output_bytes * wider
    read, written = capacity * event_bytes, capacity * out_bytes
    through = read + (load.replication - 1) * written + written
    kafka_cores = add(
        "broker_cores", capacity * job.kafka_cpu_us * wider * load.replication / 1e6, "cores",
        f"capacity x {job.kafka_cpu_us * wider:.1f} us x replication {load.replication} (an upper bound: followers only copy)",
    )  # fmt: skip
    produced = capacity * event_bytes * load.replication
    busiest_network = (through + produced) / 1e6
    add(
        "kafka_traffic", busiest_network, "MB/s",
        f"capacity x ({event_bytes:.0f} B in and its copies, read once; {out_bytes:.0f} B out and its copies)",
    )  # fmt: skip
    by_cpu = math.ceil(kafka_cores / (load.broker_cores * load.utilisation))
    by_network = math.ceil(busiest_network / load.broker_mb_per_s)
    add(
        "brokers", max(load.replication, by_cpu, by_network), "",
        f"the largest of replication {load.replication}, {by_cpu} by CPU ({load.broker_cores:g} cores each at {load.utilisation:.0%}),"
        f" {by_network} by traffic ({load.broker_mb_per_s:g} MB/s each)",
    )  # fmt: skip
    add(
        "kafka_disk", rate * (event_bytes + out_bytes) * load.replication * load.retention_s / 1e12, "TB",
        f"{rate:,.0f} x ({event_bytes:.0f} + {out_bytes:.0f}) B x replication x {load.retention_s / 3600:g} h kept",
    )  # fmt: skip
    away = 1 - 1 / parallelism
    add(
        "network_per_task_manager", capacity * (event_bytes + out_bytes + job.shuffled_bytes * wider * away) / parallelism / 1e6, "MB/s",
        f"capacity x ({event_bytes:.0f} B from Kafka + {out_bytes:.0f} B to it + {job.shuffled_bytes * wider:.0f} B between tasks,"
        f" {away:.0%} of it to other hosts) / task_managers",
    )  # fmt: skip
    sinks = _SINKS[""] + sum(_SINKS[insight] for insight in load.insights)
    add("transactions", sinks * parallelism / load.checkpoint_s, "1/s", f"{sinks} sinks x task_managers / {load.checkpoint_s:g} s")
    return Plan(load, tuple(figures), tuple(_notes(load, costs, job, parallelism, wider)))


def _named(job: Job) -> str:
    return f"{', '.join(sorted(job.insights)) or 'routing only'} ({job.state_backend})"


def _times(what: str, factor: float) -> str:
    return f" x {factor:.2f} ({what})" if factor > 1 else ""


def _notes(load: Load, costs: Costs, job: Job, parallelism: float, wider: float) -> list[str]:
    notes = [f"Costs: {costs.measured.command}, {costs.measured.date}, {costs.measured.machine}. Plan with your own: docs/sizing.md"]
    if costs.measured.estimated:
        notes.append(f"Estimated, not measured: {', '.join(costs.measured.estimated)}; what comes of them is an order of magnitude")
    measured = job.events_per_s
    if load.events_per_s > 10 * measured:
        notes.append(f"{load.events_per_s / measured:,.0f} times the measured rate ({measured:,.0f} events/s): try a tenth of it first")
    if job.insights != load.insights:
        notes.append(f"These insights were not measured by themselves; planned as {_named(job)}")
    if wider > 1:
        notes.append("All costs grow with the size of an event here; in truth only a part of them does")
    one_session = 1 / max(1.0, parallelism)
    notes.append(f"One session with more than {one_session:.2%} of the events fills a subtask: no parallelism helps it")
    return notes
