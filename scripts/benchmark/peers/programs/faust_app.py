"""Faust (faust-streaming): one agent that routes. Its windowed tables have no final results and it has no sorting, so only that."""

from __future__ import annotations

import sys

import faust
from common import arguments, destinations
from shop.v1.events_pb2 import Event

own = arguments()
app = faust.App(
    own.group, broker=f"aiokafka://{own.bootstrap}", processing_guarantee="exactly_once" if own.exactly_once else "at_least_once",
    value_serializer="raw", key_serializer="raw", web_enabled=False, store="memory://", datadir=f"{own.state}/{own.worker}",
    topic_disable_leader=True, broker_commit_interval=own.commit_ms / 1000, consumer_auto_offset_reset="earliest",
    producer_linger=0.005, producer_max_batch_size=131_072, producer_compression_type="lz4",
    stream_buffer_maxsize=32_768, stream_wait_empty=False, broker_max_poll_records=5_000, topic_allow_declare=False,
)  # fmt: skip
events = app.topic(own.events, key_type=bytes, value_type=bytes)
targets = {name[len(own.prefix) :]: app.topic(name, key_type=bytes, value_type=bytes) for name in own.topics()}
parse = Event.FromString


@app.agent(events)
async def route(stream: faust.StreamT) -> None:
    async for event in stream.events():
        value, message = event.value, event.message
        for destination in destinations(parse(value)):
            await targets[destination].send(key=message.key, value=value, timestamp=message.timestamp)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
