"""The keyed Python stage of rules that aggregate: a thin adapter between Flink and udfs/rules/aggregates.py.

It sees only the observations of such rules, behind the de-duplication: no rule of that kind, no cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pyflink.common import Row, Types
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from udfs.rules.aggregates import Observation, SlidingSum

AGGREGATED_FIELDS: Final = ("topics", "session_id", "event_id", "payload", "record_time_ms")
AGGREGATED_TYPE: Final = Types.TUPLE(
    [Types.STRING(), Types.STRING(), Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.LONG()]
)  # fmt: skip


def observation_key(row: Row) -> str:
    """The key of an input row: its first field, an encoded Observation, names it."""
    return Observation.decoded(row[0]).key


class Aggregator(KeyedProcessFunction):
    """Input: (observation, session_id, event_id, payload, record_time_ms). Output: AGGREGATED_TYPE for each event that
    the condition of its rule holds for; `topics` is joined by ";"."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._buckets = runtime_context.get_map_state(MapStateDescriptor("buckets", Types.LONG(), Types.DOUBLE()))
        self._last_ms = runtime_context.get_state(ValueStateDescriptor("last-ms", Types.LONG()))
        self._window_ms = runtime_context.get_state(ValueStateDescriptor("window-ms", Types.LONG()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        told = Observation.decoded(value[0])
        before = {bucket: float(total) for bucket, total in self._buckets.items()}
        window = SlidingSum(dict(before))
        holds = window.add(told)
        for bucket in before.keys() - window.buckets.keys():
            self._buckets.remove(bucket)
        for bucket, total in window.buckets.items():
            if before.get(bucket) != total:
                self._buckets.put(bucket, float(total))
        self._expire_later(told.window_ms, ctx)
        if holds and told.topics:
            yield ";".join(told.topics), value[1], value[2], value[3], value[4]

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        """State goes once a key has been silent for a window; processing time, so that a quiet stream frees it too."""
        last_ms = self._last_ms.value()
        # None: another timer was first. Two are left where the last event came at the very end of a window, or where the clock of the
        # host that took the key over is behind.
        if last_ms is not None and timestamp - last_ms >= self._window_ms.value():
            self._buckets.clear()
            self._last_ms.clear()
            self._window_ms.clear()
        return iter(())

    def _expire_later(self, window_ms: int, ctx: KeyedProcessFunction.Context) -> None:
        """At most one timer for each key and window, however many events."""
        now_ms = ctx.timer_service().current_processing_time()
        self._last_ms.update(now_ms)
        self._window_ms.update(window_ms)
        ctx.timer_service().register_processing_time_timer((now_ms // window_ms + 2) * window_ms)
