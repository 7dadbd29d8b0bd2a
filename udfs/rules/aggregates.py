"""Aggregating conditions: "more than N events, or a sum over X, by user within a sliding W".

The Python stage that evaluates rules makes an observation of each event that fits the rest of such a rule. Observations
travel behind the de-duplication to a second, keyed stage, which holds one SlidingSum for each rule and key.
Pure: no Flink, no I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Self

from udfs.rules.language import Aggregate, Rule
from udfs.rules.paths import MISSING, money_reader, scalar_reader
from udfs.rules.values import duration

BUCKETS: Final = 60
"""Into how many steps a window slides: it is exact to a 60th of its length, and its state has at most 61 entries."""

_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "session": ("$.session_id",),
    "user": ("$.user_id",),
    "card": ("$.payment_processed.card_fingerprint", "$.payment_failed.card_fingerprint"),
    "ip": ("$.source.ip",),
    "device": ("$.source.device_id",),
}


@dataclass(frozen=True)
class Observation:
    """One event as an aggregating rule sees it.

    Attributes:
        key: rule, what it sums by what over which time, and the key's value. Thresholds are not in it: they can change and
            what has been summed stays.
        topics: where the event goes if the condition holds.
    """

    key: str
    time_ms: int
    amount: float
    window_ms: int
    op: str
    threshold: float
    topics: tuple[str, ...]

    def encoded(self) -> str:
        """As hexadecimal digits, which no separator can be part of."""
        return json.dumps(asdict(self), separators=(",", ":")).encode().hex()

    @classmethod
    def decoded(cls, text: str) -> Self:
        """The reverse of `encoded`."""
        fields: dict[str, Any] = json.loads(bytes.fromhex(text))
        return cls(**{**fields, "topics": tuple(fields["topics"])})


def observation(rule: Rule, event: Any, but: Container[str] = ()) -> str | None:
    """The event as an encoded Observation; None if it has no key (nobody signed in) or nothing to sum.

    `but`: topics to which the event goes anyway; it is summed, and does not go there twice.
    """
    aggregate = rule.when.aggregate
    assert aggregate is not None
    key, amount = key_reader(aggregate.by)(event), _amount(aggregate, event)
    if key is None or amount is None:
        return None
    summed = f"{aggregate.money}/{aggregate.currency}" if aggregate.money is not None else aggregate.sum or "count"
    what = "/".join((summed, aggregate.by, aggregate.within, *rule.when.events))
    digest = hashlib.sha256(f"{what}/{key}".encode()).hexdigest()[:32]
    return Observation(
        key=f"{rule.id}/{digest}",
        time_ms=event.event_time_ms,
        amount=amount,
        window_ms=int(duration(aggregate.within).total_seconds() * 1000),
        op=aggregate.op,
        threshold=aggregate.threshold,
        topics=tuple(destination.topic for destination in rule.to if destination.topic not in but),
    ).encoded()


def _amount(aggregate: Aggregate, event: Any) -> int | float | None:
    """What the event adds to the sum; None if there is no such thing in it, or only in other currencies."""
    if aggregate.money is not None:
        found = [money.amount_minor for money in money_reader(aggregate.money)(event) if money.currency == aggregate.currency]
        return sum(found) if found else None
    amount = 1 if aggregate.sum is None else scalar_reader(aggregate.sum)(event)
    return amount if isinstance(amount, int | float) else None


@lru_cache(maxsize=1_000)
def key_reader(by: str) -> Callable[[Any], Any]:
    """How to read what an event is grouped by: `by` is a name of the language, or a path. It gives None if the event has no such thing."""
    readers = tuple(scalar_reader(path) for path in _KEYS.get(by, (by,)))

    def read(event: Any) -> Any:
        for reader in readers:
            value = reader(event)
            if value is not MISSING and value != "":
                return value
        return None

    return read


class SlidingSum:
    """Sums over a sliding window of event time, in buckets of a 60th of the window: bounded, whatever comes.

    `buckets` maps a bucket's number (time / step) to its sum; it is what a caller keeps in state.
    """

    def __init__(self, buckets: dict[int, float]) -> None:
        self.buckets = buckets

    def add(self, told: Observation) -> bool:
        """Adds an event; whether the condition holds over the window that ends with it.

        An event older than the newest one by more than the window is summed with what is left of its own window.
        """
        step = step_ms(told.window_ms)
        bucket = told.time_ms // step
        self.buckets[bucket] = self.buckets.get(bucket, 0) + told.amount
        newest = max(self.buckets)
        for old in [each for each in self.buckets if each <= newest - BUCKETS]:
            if old != bucket:
                del self.buckets[old]
        total = sum(amount for each, amount in self.buckets.items() if bucket - BUCKETS < each <= bucket)
        if bucket <= newest - BUCKETS:
            del self.buckets[bucket]
        return total >= told.threshold if told.op == ">=" else total > told.threshold


def step_ms(window_ms: int) -> int:
    """Length of a bucket."""
    return max(1, -(-window_ms // BUCKETS))
