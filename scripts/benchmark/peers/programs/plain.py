"""A consume-produce loop in plain Python on confluent-kafka: with transactions, exactly-once; without, at-least-once.

Each worker has its partitions by its number, and goes on where the group's committed offsets stand: no rebalance takes a partition away
between what is produced and its commit. With transactions, a worker that is started again fences off the one before it by its id.
"""

from __future__ import annotations

import time

from common import READ_AHEAD_KB, arguments, destinations, producer_options
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from shop.v1.events_pb2 import Event

_BATCH = 1_000


def main() -> None:
    own = arguments()
    consumer = Consumer({
        "bootstrap.servers": own.bootstrap, "group.id": own.group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "isolation.level": "read_committed", "queued.max.messages.kbytes": READ_AHEAD_KB,
    })  # fmt: skip
    options = producer_options(own) | {"bootstrap.servers": own.bootstrap}
    if own.exactly_once:
        options |= {"transactional.id": f"{own.group}-{own.worker}", "transaction.timeout.ms": 60_000}
    producer = Producer(options)
    if own.exactly_once:
        producer.init_transactions(60)
        producer.begin_transaction()
    # After init_transactions, which ends what a worker before this one left open: its offsets are settled.
    consumer.assign([TopicPartition(own.events, partition) for partition in range(own.worker, own.partitions, own.workers)])
    route, prefix, parse = destinations, own.prefix, Event.FromString
    dirty, next_commit = False, time.monotonic() + own.commit_ms / 1000
    while True:
        for message in consumer.consume(_BATCH, timeout=0.05):
            if message.error() is not None:
                raise KafkaException(message.error())
            value = message.value()
            for destination in route(parse(value)):
                while True:
                    try:
                        producer.produce(prefix + destination, value, message.key(), timestamp=message.timestamp()[1])
                        break
                    except BufferError:
                        producer.poll(0.05)
            dirty = True
        producer.poll(0)
        if dirty and time.monotonic() >= next_commit:
            # Behind what consume() has returned last, all of which has been produced.
            positions = [each for each in consumer.position(consumer.assignment()) if each.offset >= 0]
            if own.exactly_once:
                producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 60)
                producer.commit_transaction(60)
                producer.begin_transaction()
            else:
                producer.flush(60)
                consumer.commit(offsets=positions, asynchronous=False)
            dirty, next_commit = False, time.monotonic() + own.commit_ms / 1000


if __name__ == "__main__":
    main()
