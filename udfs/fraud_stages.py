"""The two keyed Python stages of fraud detection: thin adapters between Flink and the state machines in udfs/fraud/.

They see only events that a rule with a signal looks at, behind the de-duplication. Each keeps one JSON text for each key: what is
remembered is read and written as a whole, a text stays readable in a savepoint whatever version wrote it, and each access to Flink's
state from Python costs as much as some microseconds of work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson
from pyflink.common import Row, Types
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor

from udfs.fraud.alerts import combine
from udfs.fraud.sightings import decoded
from udfs.fraud.signals import Firing, observe_all

FIRED_TYPE: Final = Types.TUPLE([Types.STRING(), Types.STRING()])
"""Subject, and a Firing as JSON."""
ALERT_FIELDS: Final = ("subject", "alert")
ALERT_TYPE: Final = Types.TUPLE([Types.STRING(), Types.STRING()])
"""Subject, and the alert as JSON."""
_SHORTEST_MS: Final = 1_000


class _Remembering(KeyedProcessFunction):
    """Keeps a JSON value for each key until it has been silent for so long as the last input said; by the clock, so that a quiet stream
    frees it too. One timer for each key at any time."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._state = runtime_context.get_state(ValueStateDescriptor("memory", Types.STRING()))

    def recall(self) -> Any:
        """What the last call of `remember` for this key kept."""
        text = self._state.value()
        return None if text is None else orjson.loads(text)["memory"]

    def remember(self, memory: Any, is_new: bool, for_ms: int, ctx: KeyedProcessFunction.Context) -> None:
        """Args: is_new: whether `recall` gave nothing."""
        now_ms = ctx.timer_service().current_processing_time()
        if is_new:
            ctx.timer_service().register_processing_time_timer(now_ms + max(for_ms, _SHORTEST_MS))
        kept = {"last_ms": now_ms, "for_ms": max(for_ms, _SHORTEST_MS), "memory": memory}
        self._state.update(orjson.dumps(kept).decode())

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        text = self._state.value()
        if text is not None:
            kept = orjson.loads(text)
            due_ms = kept["last_ms"] + kept["for_ms"]
            if due_ms <= timestamp:
                self._state.clear()
            else:
                ctx.timer_service().register_processing_time_timer(due_ms)
        return iter(())


class SignalDetector(_Remembering):
    """Input: (encoded bundle of Sightings, number of the event in its session or 0), keyed by the bundle's key. Output: FIRED_TYPE
    for each signal that fires."""

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        sightings = [seen for seen in decoded(value[0]) if not seen.among_first or value[1] <= seen.among_first]
        if not any(seen.window_ms for seen in sightings):
            firings = observe_all(None, sightings, 0)[1]
        else:
            now_ms = ctx.timer_service().current_processing_time()
            before = self.recall()
            parts, firings = observe_all(before, sightings, now_ms)
            self.remember(parts, before is None, max(due_ms for due_ms, _ in parts.values()) - now_ms, ctx)
        for firing in firings:
            yield firing.subject, orjson.dumps(firing).decode()


class AlertMaker(_Remembering):
    """Input: FIRED_TYPE. Output: ALERT_TYPE, one for each input of which the score is reached."""

    def __init__(self, window_ms: int, min_score: float) -> None:
        self._window_ms, self._min_score = window_ms, min_score

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        fields = orjson.loads(value[1])
        firing = Firing(**{**fields, "evidence": tuple(fields["evidence"])})
        now_ms = ctx.timer_service().current_processing_time()
        before = self.recall()
        memory, alert = combine(before, firing, self._window_ms, self._min_score, now_ms)
        self.remember(memory, before is None, self._window_ms, ctx)
        if alert is not None:
            yield firing.subject, alert
