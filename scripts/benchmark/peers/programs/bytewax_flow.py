"""Bytewax: a dataflow for each task. With its recovery store, at-least-once; its Kafka sink has no transactions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.operators.windowing import UTC_MIN, Clock, ClockLogic
from common import READ_AHEAD_KB, SALES, Arguments, arguments, destinations, ordered, producer_options, sold
from event_time import InOrder, LeastOfPartitions
from shop.v1.events_pb2 import Event

_parse = Event.FromString


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
class _Ordered(StatefulBatchLogic):
    """The events of one partition, which has all of a session, by event time: by that alone, so that a pause of the clock makes no
    disorder. Like a watermark, it goes on when the partition does."""

    waiting: InOrder

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        for time_ms, out in values:
            self.waiting.add(time_ms, out)
        return list(self.waiting.due()), StatefulBatchLogic.RETAIN

    def snapshot(self) -> Any:
        return self.waiting.snapshot()


def _order(messages: Any, own: Arguments) -> Any:
    prefix = own.prefix

    def routed(batch: list[Any]) -> Iterable[tuple[str, tuple[bool, int, KafkaSinkMessage]]]:
        out = []
        for message in batch:
            event = _parse(message.value)
            for destination in destinations(event):
                sent = KafkaSinkMessage(message.key, message.value, prefix + destination, timestamp=message.timestamp[1])
                out.append((str(message.partition), (ordered(destination), event.event_time_ms, sent)))
        return out

    def builder(resumed: Any) -> _Ordered:
        return _Ordered(InOrder(own.bound_ms, *(resumed or ())))

    branches = op.branch("ordered", op.flat_map_batch("route", messages, routed), lambda item: item[1][0])
    waiting = op.map("in", branches.trues, lambda item: (item[0], item[1][1:]))
    in_order = op.stateful_batch("order", waiting, builder)
    at_once = op.map("at-once", branches.falses, lambda item: item[1][2])
    return op.merge("both", op.map("out-of-key", in_order, lambda item: item[1]), at_once)


@dataclass
class _LeastLogic(ClockLogic):
    times: LeastOfPartitions
    bound: timedelta

    def before_batch(self) -> None:
        pass

    def on_item(self, value: Any) -> tuple[datetime, datetime]:
        self.times.advance(value[1], value[0])
        return value[0], self.on_notify()

    def on_notify(self) -> datetime:
        least = self.times.least()
        return UTC_MIN if least is None else least - self.bound

    def on_eof(self) -> datetime:
        return self.on_notify()

    def to_system_utc(self, timestamp: datetime) -> None:
        return None

    def snapshot(self) -> dict[int, datetime]:
        return dict(self.times.newest)


@dataclass
class _Least(Clock):
    """Each key has a clock of its own in Bytewax, which all partitions feed: it shows the time of the one furthest behind. The clock of the
    wall must not close the windows of a backlog, as that of EventClock does."""

    partitions: int
    bound: timedelta

    def build(self, resume_state: Any) -> _LeastLogic:
        return _LeastLogic(LeastOfPartitions(self.partitions, resume_state), self.bound)


def _sales(messages: Any, own: Arguments) -> Any:
    topic = own.prefix + SALES

    def lines(batch: list[Any]) -> Iterable[tuple[str, tuple[datetime, int, int, int]]]:
        out = []
        for message in batch:
            event = _parse(message.value)
            for category, currency, quantity, amount in sold(event):
                time = datetime.fromtimestamp(event.event_time_ms / 1000, UTC)
                out.append((f"{category}|{currency}", (time, message.partition, quantity, amount)))
        return out

    clock = _Least(own.partitions, timedelta(milliseconds=own.bound_ms))
    windower = win.SlidingWindower(
        length=timedelta(milliseconds=own.window_ms), offset=timedelta(milliseconds=own.slide_ms), align_to=datetime(2026, 1, 1, tzinfo=UTC)
    )
    closed = win.fold_window(
        "sum", op.flat_map_batch("lines", messages, lines), clock, windower, lambda: (0, 0),
        lambda total, line: (total[0] + line[2], total[1] + line[3]), lambda one, other: (one[0] + other[0], one[1] + other[1]),
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
