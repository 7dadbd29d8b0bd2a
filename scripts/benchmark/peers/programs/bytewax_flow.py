"""Bytewax: a dataflow for each task. With its recovery store, at-least-once; its Kafka sink has no transactions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from common import READ_AHEAD_KB, SALES, Arguments, arguments, destinations, ordered, producer_options, sold
from shop.v1.events_pb2 import Event

_parse = Event.FromString
_STILL = datetime(2026, 1, 1, tzinfo=UTC)


def dataflow(own: Arguments) -> Dataflow:
    flow = Dataflow("peer")
    ahead = {"queued.max.messages.kbytes": str(READ_AHEAD_KB)}
    # Its end flushes nothing: the topic is followed, as in production.
    messages = op.input("events", flow, KafkaSource([own.bootstrap], [own.events], add_config=ahead, batch_size=1_000))
    out = {"route": _route, "route+order": _order, "sales": _sales}[own.task](messages, own)
    op.output("out", out, KafkaSink([own.bootstrap], topic=None, add_config=producer_options(own)))
    return flow


def _route(messages: Any, own: Arguments) -> Any:
    prefix = own.prefix

    def routed(batch: list[Any]) -> Iterable[KafkaSinkMessage]:
        return [
            KafkaSinkMessage(message.key, message.value, prefix + destination, timestamp=message.timestamp[1])
            for message in batch
            for destination in destinations(_parse(message.value))
        ]

    return op.flat_map_batch("route", messages, routed)


@dataclass
class _Waiting(StatefulBatchLogic):
    """The events of one session, until the session's newest is `bound_ms` younger, or the clock has gone on by as much."""

    bound_ms: int
    heap: list[tuple[int, int, Any]] = field(default_factory=list)
    newest_ms: int = 0
    seen: datetime = _STILL
    number: Any = field(default_factory=count)

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        for time_ms, out in values:
            heappush(self.heap, (time_ms, next(self.number), out))
            self.newest_ms = max(self.newest_ms, time_ms)
        self.seen = datetime.now(UTC)
        return self._until(self.newest_ms - self.bound_ms)

    def on_notify(self) -> tuple[Iterable[Any], bool]:
        return self._until(self.newest_ms)

    def on_eof(self) -> tuple[Iterable[Any], bool]:
        return [], StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return self.seen + timedelta(milliseconds=self.bound_ms) if self.heap else None

    def snapshot(self) -> Any:
        return list(self.heap), self.newest_ms

    def _until(self, time_ms: int) -> tuple[Iterable[Any], bool]:
        out = []
        while self.heap and self.heap[0][0] <= time_ms:
            out.append(heappop(self.heap)[2])
        return out, not self.heap


def _order(messages: Any, own: Arguments) -> Any:
    prefix = own.prefix

    def routed(batch: list[Any]) -> Iterable[tuple[str, tuple[bool, int, KafkaSinkMessage]]]:
        out = []
        for message in batch:
            event = _parse(message.value)
            for destination in destinations(event):
                sent = KafkaSinkMessage(message.key, message.value, prefix + destination, timestamp=message.timestamp[1])
                out.append((event.session_id, (ordered(destination), event.event_time_ms, sent)))
        return out

    def builder(resumed: Any) -> _Waiting:
        return _Waiting(own.bound_ms) if resumed is None else _Waiting(own.bound_ms, *resumed)

    branches = op.branch("ordered", op.flat_map_batch("route", messages, routed), lambda item: item[1][0])
    waiting = op.map("in", branches.trues, lambda item: (item[0], item[1][1:]))
    in_order = op.stateful_batch("order", waiting, builder)
    at_once = op.map("at-once", branches.falses, lambda item: item[1][2])
    return op.merge("both", op.map("out-of-key", in_order, lambda item: item[1]), at_once)


def _sales(messages: Any, own: Arguments) -> Any:
    topic = own.prefix + SALES

    def lines(batch: list[Any]) -> Iterable[tuple[str, tuple[datetime, int, int]]]:
        out = []
        for message in batch:
            event = _parse(message.value)
            for category, currency, quantity, amount in sold(event):
                out.append((f"{category}|{currency}", (datetime.fromtimestamp(event.event_time_ms / 1000, UTC), quantity, amount)))
        return out

    # Each key has a clock of its own here, which all partitions feed: it must wait for the slowest of them.
    # The clock of the wall must not close the windows of a backlog.
    clock = win.EventClock(
        lambda line: line[0], timedelta(milliseconds=own.window_ms), now_getter=lambda: _STILL, to_system_utc=lambda _: None
    )
    windower = win.SlidingWindower(
        length=timedelta(milliseconds=own.window_ms), offset=timedelta(milliseconds=own.slide_ms), align_to=datetime(2026, 1, 1, tzinfo=UTC)
    )
    closed = win.fold_window(
        "sum", op.flat_map_batch("lines", messages, lines), clock, windower, lambda: (0, 0),
        lambda total, line: (total[0] + line[1], total[1] + line[2]), lambda one, other: (one[0] + other[0], one[1] + other[1]),
        ordered=False,
    )  # fmt: skip

    starts = windower.align_to, windower.offset

    def row(item: Any) -> KafkaSinkMessage:
        key, (window, (quantity, amount)) = item
        category, currency = key.split("|")
        start = round((starts[0] + window * starts[1]).timestamp() * 1000)
        value = {
            "category": category, "currency": currency, "window_start": start, "window_end": start + own.window_ms,
            "quantity": quantity, "amount_minor": amount,
        }  # fmt: skip
        return KafkaSinkMessage(category.encode(), orjson.dumps(value), topic)

    return op.map("row", closed.down, row)


def main() -> None:
    """As its documentation starts a cluster: bytewax.run with a process number and all addresses, and a recovery store."""
    own = arguments()
    store = Path(own.state)
    if own.worker == 0:
        store.mkdir(parents=True, exist_ok=True)
    addresses = os.environ["PEER_ADDRESSES"]
    from bytewax.recovery import RecoveryConfig, init_db_dir  # noqa: PLC0415
    from bytewax.run import cli_main  # noqa: PLC0415

    ready = store / "ready"
    if own.worker == 0:
        init_db_dir(store, own.workers)
        ready.touch()
    while not ready.exists():
        time.sleep(0.05)
    recovery = RecoveryConfig(str(store), backup_interval=timedelta(0))
    cli_main(
        dataflow(own), process_id=own.worker, addresses=addresses.split(";"),
        epoch_interval=timedelta(milliseconds=own.commit_ms), recovery_config=recovery,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
