"""Pathway: a table for each task. At-least-once with its persistence; exactly-once is not in its free edition."""

from __future__ import annotations

import json
import os

from common import SALES, Arguments, arguments, destinations, sold

own = arguments()
# What `pathway spawn --processes N` sets, before it is imported.
os.environ |= {
    "PATHWAY_PROCESSES": str(own.workers), "PATHWAY_PROCESS_ID": str(own.worker), "PATHWAY_THREADS": "1",
    "PATHWAY_FIRST_PORT": os.environ["PEER_ADDRESSES"].split(";")[0].rpartition(":")[2],
}  # fmt: skip

import pathway as pw  # noqa: E402
from shop.v1.events_pb2 import Event  # noqa: E402

_parse = Event.FromString


def routed(events: pw.Table, own: Arguments) -> pw.Table:
    """A row for each destination of each event: key, data, topic."""

    @pw.udf(deterministic=True)
    def topics_of(value: bytes) -> tuple[str, ...]:
        return tuple(own.prefix + each for each in destinations(_parse(value)))

    return events.select(events.key, events.data, topic=topics_of(events.data)).flatten(pw.this.topic)


def sales(events: pw.Table, own: Arguments) -> pw.Table:
    """A row for each window that has closed: key, data."""

    @pw.udf(deterministic=True)
    def lines_of(value: bytes) -> list[tuple[str, int, int, int]]:
        event = _parse(value)
        return [(f"{category}|{currency}", event.event_time_ms, quantity, amount) for category, currency, quantity, amount in sold(event)]

    @pw.udf(deterministic=True)
    def row(group: str, start: int, quantity: int, amount_minor: int) -> str:
        category, currency = group.split("|")
        return json.dumps({
            "category": category, "currency": currency, "window_start": start, "window_end": start + own.window_ms,
            "quantity": quantity, "amount_minor": amount_minor,
        })  # fmt: skip

    lines = events.select(line=lines_of(events.data)).flatten(pw.this.line)
    fields = lines.select(
        group=pw.this.line.get(0), time_ms=pw.this.line.get(1), quantity=pw.this.line.get(2), amount_minor=pw.this.line.get(3)
    )
    # It closes windows by the greatest time that it has seen in any partition, so it must wait for the slowest.
    windows = fields.windowby(
        pw.this.time_ms, window=pw.temporal.sliding(hop=own.slide_ms, duration=own.window_ms), instance=pw.this.group,
        behavior=pw.temporal.exactly_once_behavior(shift=own.window_ms),
    ).reduce(
        group=pw.this._pw_instance, start=pw.this._pw_window_start,
        quantity=pw.reducers.sum(pw.this.quantity), amount_minor=pw.reducers.sum(pw.this.amount_minor),
    )  # fmt: skip
    return windows.select(key=pw.this.group, data=row(pw.this.group, pw.this.start, pw.this.quantity, pw.this.amount_minor))


def main() -> None:
    pw.set_monitoring_config(server_endpoint=None)
    consumer = {"bootstrap.servers": own.bootstrap, "group.id": own.group, "auto.offset.reset": "earliest"}
    producer = {"bootstrap.servers": own.bootstrap, "linger.ms": "5", "batch.size": "131072", "compression.type": "lz4", "acks": "all",
                "queue.buffering.max.messages": "20000"}  # fmt: skip
    events = pw.io.kafka.read(consumer, own.events, format="raw", autogenerate_key=True, autocommit_duration_ms=500, name="events")
    if own.task == "route":
        out = routed(events, own)
        pw.io.kafka.write(out, producer, out.topic, format="raw", key=out.key, value=out.data, name="out")
    else:
        out = sales(events, own)
        pw.io.kafka.write(out, producer, own.prefix + SALES, format="plaintext", key=out.key, value=out.data, name="out")
    stored = pw.persistence.Config(pw.persistence.Backend.filesystem(own.state), snapshot_interval_ms=own.commit_ms)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=stored)


if __name__ == "__main__":
    main()
