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
_BACKLOG = 50_000
"""Its documentation asks for a limit where a backlog waits: without one it reads all of it first."""


def routed(events: pw.Table, own: Arguments) -> pw.Table:
    """A row for each destination of each event: key, data, topic."""

    @pw.udf(deterministic=True)
    def topics_of(value: bytes) -> tuple[str, ...]:
        return tuple(own.prefix + each for each in destinations(_parse(value)))

    return events.select(events.key, events.data, topic=topics_of(events.data)).flatten(pw.this.topic)


_MARKER = ""
_MARKED_MS = 200


def sales(events: pw.Table, own: Arguments) -> pw.Table:
    """A row for each window that has closed: key, data.

    A window operator of Pathway has one time, the greatest that it has seen: so each Kafka partition has an operator of its own, and a
    window is told when all of them have closed it. Now and then an event is a marker, so that a partition that sells nothing goes on too.
    """

    @pw.udf(deterministic=True)
    def lines_of(value: bytes) -> list[tuple[str, int, int, int]]:
        event = _parse(value)
        time_ms = event.event_time_ms
        lines = [(f"{category}|{currency}", time_ms, quantity, amount) for category, currency, quantity, amount in sold(event)]
        return lines if time_ms % _MARKED_MS else [*lines, (_MARKER, time_ms, 0, 0)]

    @pw.udf(deterministic=True)
    def row(group: str, start: int, quantity: int, amount_minor: int) -> str:
        category, currency = group.split("|")
        return json.dumps({
            "category": category, "currency": currency, "window_start": start, "window_end": start + own.window_ms,
            "quantity": quantity, "amount_minor": amount_minor,
        })  # fmt: skip

    lines = events.select(events._metadata, line=lines_of(events.data)).flatten(pw.this.line)
    fields = lines.select(
        partition=pw.this._metadata["partition"].as_int(), group=pw.this.line.get(0), time_ms=pw.this.line.get(1),
        quantity=pw.this.line.get(2), amount_minor=pw.this.line.get(3),
    )  # fmt: skip

    def closed(partition: int) -> pw.Table:
        own_lines = fields.filter(pw.this.partition == partition)
        return own_lines.windowby(
            own_lines.time_ms, window=pw.temporal.sliding(hop=own.slide_ms, duration=own.window_ms), instance=own_lines.group,
            behavior=pw.temporal.exactly_once_behavior(shift=own.bound_ms),
        ).reduce(
            group=pw.this._pw_instance, start=pw.this._pw_window_start,
            quantity=pw.reducers.sum(pw.this.quantity), amount_minor=pw.reducers.sum(pw.this.amount_minor),
        )  # fmt: skip

    partials = pw.Table.concat_reindex(*(closed(partition) for partition in range(own.partitions)))
    past = partials.filter(pw.this.group == _MARKER).groupby(pw.this.start).reduce(pw.this.start, partitions=pw.reducers.count())
    whole = past.filter(pw.this.partitions == own.partitions)
    totals = (
        partials.filter(pw.this.group != _MARKER)
        .groupby(pw.this.group, pw.this.start)
        .reduce(
            pw.this.group, pw.this.start, quantity=pw.reducers.sum(pw.this.quantity), amount_minor=pw.reducers.sum(pw.this.amount_minor)
        )
    )
    told = totals.join(whole, totals.start == whole.start).select(totals.group, totals.start, totals.quantity, totals.amount_minor)
    return told.select(key=pw.this.group, data=row(pw.this.group, pw.this.start, pw.this.quantity, pw.this.amount_minor))


def main() -> None:
    pw.set_monitoring_config(server_endpoint=None)
    consumer = {"bootstrap.servers": own.bootstrap, "group.id": own.group, "auto.offset.reset": "earliest"}
    producer = {"bootstrap.servers": own.bootstrap, "linger.ms": "5", "batch.size": "131072", "compression.type": "lz4", "acks": "all",
                "queue.buffering.max.messages": "20000"}  # fmt: skip
    events = pw.io.kafka.read(
        consumer, own.events, format="raw", autogenerate_key=True, autocommit_duration_ms=100, name="events",
        with_metadata=own.task == "sales", max_backlog_size=_BACKLOG,
    )  # fmt: skip
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
