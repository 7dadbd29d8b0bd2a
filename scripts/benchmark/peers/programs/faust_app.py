"""Faust (faust-streaming): one agent that routes. Its windowed tables have no final results and it has no sorting, so only that."""

from __future__ import annotations

import sys
from pathlib import Path

import mode.loop

mode.loop.use("uvloop")  # before Faust, as its documentation has it

import faust  # noqa: E402
from common import arguments, destinations  # noqa: E402
from shop.v1.events_pb2 import Event  # noqa: E402

own = arguments()
# Faust makes its folder for data, but not those above it.
datadir = Path(own.state, str(own.worker))
datadir.mkdir(parents=True, exist_ok=True)
app = faust.App(
    own.group, broker=f"aiokafka://{own.bootstrap}", processing_guarantee="exactly_once" if own.exactly_once else "at_least_once",
    value_serializer="raw", key_serializer="raw", web_enabled=False, store="memory://", datadir=datadir,
    topic_disable_leader=True, broker_commit_interval=own.commit_ms / 1000, consumer_auto_offset_reset="earliest",
    producer_linger=0.005, producer_max_batch_size=131_072, producer_compression_type="lz4",
    stream_buffer_maxsize=32_768, broker_max_poll_records=5_000, topic_allow_declare=False,
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
