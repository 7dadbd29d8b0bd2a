"""Pathway: a table for each task. At-least-once with its persistence; exactly-once is not in its free edition."""

from __future__ import annotations

import pathway as pw
from common import arguments, destinations
from shop.v1.events_pb2 import Event

own = arguments()
_parse = Event.FromString
pw.set_monitoring_config(server_endpoint=None)
_CONSUMER = {"bootstrap.servers": own.bootstrap, "group.id": own.group, "auto.offset.reset": "earliest"}
_PRODUCER = {"bootstrap.servers": own.bootstrap, "linger.ms": "5", "batch.size": "131072", "compression.type": "lz4", "acks": "all",
             "queue.buffering.max.messages": "1000000"}  # fmt: skip


@pw.udf(deterministic=True)
def topics_of(value: bytes) -> tuple[str, ...]:
    return tuple(own.prefix + each for each in destinations(_parse(value)))


def main() -> None:
    events = pw.io.kafka.read(
        _CONSUMER, own.events, format="raw", autogenerate_key=True, autocommit_duration_ms=own.commit_ms, name="events"
    )
    if own.task != "route":
        raise SystemExit(f"pathway: no task {own.task}")
    routed = events.select(events.key, events.data, topic=topics_of(events.data)).flatten(pw.this.topic)
    pw.io.kafka.write(routed, _PRODUCER, routed.topic, format="raw", key=routed.key, value=routed.data, name="routed")
    persistence = pw.persistence.Config(
        pw.persistence.Backend.filesystem(own.state), snapshot_interval_ms=own.commit_ms
    )  # fmt: skip
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=persistence)


if __name__ == "__main__":
    main()
