"""What all peers' programs share: the command line, and what is asked of them. Runs in each peer's own virtual environment."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

SALES = "sales.by-category"
SESSION = "session-activity"
_BY_KIND = {
    "order_cancelled": ("orders",),
    "payment_processed": ("payments",),
    "payment_failed": ("payments", "fraud-detection"),
}
_ORDERS = ("orders",)
_HIGH_VALUE = ("orders", "fraud-detection")
_OTHERS = (SESSION,)


def destinations(event: Any) -> tuple[str, ...]:
    """What rules/ says, written out: the topics, without prefix, of an event (shop.v1.Event)."""
    kind = event.WhichOneof("payload")
    if kind == "order_placed":
        total = event.order_placed.total
        return _HIGH_VALUE if total.amount_minor > 100_000 and total.currency == "USD" else _ORDERS
    return _BY_KIND.get(kind, _OTHERS) if kind else ()


def ordered(destination: str) -> bool:
    """Whether a destination is in the order of each session where a task asks for order."""
    return destination != "fraud-detection"


def sold(event: Any) -> list[tuple[str, str, int, int]]:
    """Category, currency, pieces and amount in minor units of each line of an order; nothing of other events."""
    if event.WhichOneof("payload") != "order_placed":
        return []
    currency = event.order_placed.total.currency
    return [
        (line.category, currency, line.quantity, line.quantity * line.unit_price.amount_minor) for line in event.order_placed.lines
    ]  # fmt: skip


@dataclass(frozen=True)
class Arguments:
    """One worker of one run."""

    bootstrap: str
    prefix: str
    group: str
    task: str
    guarantee: str
    worker: int
    workers: int
    partitions: int
    bound_ms: int
    window_ms: int
    slide_ms: int
    commit_ms: int
    state: str

    @property
    def events(self) -> str:
        return self.prefix + "events"

    @property
    def exactly_once(self) -> bool:
        return self.guarantee == "exactly-once"

    def topics(self) -> list[str]:
        """All routed topics, with the prefix."""
        return [self.prefix + name for name in ("orders", "payments", SESSION, "fraud-detection")]


def arguments(argv: list[str] | None = None) -> Arguments:
    parser = argparse.ArgumentParser()
    for name, kind in Arguments.__annotations__.items():
        parser.add_argument("--" + name.replace("_", "-"), dest=name, type=int if kind == "int" else str, required=True)
    return Arguments(**vars(parser.parse_args(argv)))


READ_AHEAD_KB = 16_384
"""What a consumer of librdkafka fetches ahead, for the same reason a quarter of its default."""


def producer_options(own: Arguments) -> dict[str, Any]:
    """Batching as the job has it, for clients made of librdkafka. The queue is short: what waits in it has cost its CPU time before the
    stretch that is measured."""
    return {
        "linger.ms": 5, "batch.size": 131_072, "compression.type": "lz4", "enable.idempotence": True, "acks": "all",
        "partitioner": "murmur2_random", "queue.buffering.max.messages": 20_000,
    }  # fmt: skip
