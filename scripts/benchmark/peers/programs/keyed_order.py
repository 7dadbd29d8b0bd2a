"""Order per session as a keyed function in Python: a list of waiting events in state, and a timer for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common import destinations, ordered
from pyflink.common import TypeInformation, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor
from shop.v1.events_pb2 import Event


def routed_type() -> TypeInformation:
    """Destination, session, payload, event time in milliseconds."""
    return Types.TUPLE([Types.STRING(), Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.LONG()])


class OrderAndRoute(KeyedProcessFunction):
    """Input: session id and bytes. What needs no order goes out at once; the rest waits for the watermark."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._waiting = runtime_context.get_list_state(ListStateDescriptor("waiting", routed_type()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        session, payload = value[0], value[1]
        event = Event.FromString(payload)
        for destination in destinations(event):
            row = (destination, session, payload, event.event_time_ms)
            if ordered(destination):
                self._waiting.add(row)
                ctx.timer_service().register_event_time_timer(event.event_time_ms)
            else:
                yield row

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        waiting = list(self._waiting.get())
        due = sorted((row for row in waiting if row[3] <= timestamp), key=lambda row: row[3])
        if due:
            self._waiting.update([row for row in waiting if row[3] > timestamp])
            yield from due
