"""Measures confluent-kafka against kafka-python as the generator would use them (see `producer`).

`pip install kafka-python; python -m scripts.shop.compare_clients --bootstrap HOST:PORT --topic SCRATCH`; fills the scratch topic.
"""

from __future__ import annotations

import argparse
import time

from scripts.shop.producer import producer_config

_VALUE = bytes(range(200))
_KEYS = [b"s-%08d" % number for number in range(997)]
_START_MS = 1_764_000_000_000


def confluent(bootstrap: str, topic: str, records: int) -> float:
    """Records per second with confluent-kafka, the generator's configuration and a delivery report each."""
    from confluent_kafka import Producer  # noqa: PLC0415  each client only where it is measured

    producer = Producer(producer_config(bootstrap))
    reported: list[tuple[int | None, int | None]] = []
    began_s = time.perf_counter()
    for number in range(records):
        while True:
            try:
                producer.produce(
                    topic,
                    _VALUE,
                    _KEYS[number % len(_KEYS)],
                    timestamp=_START_MS + number,
                    on_delivery=lambda _, message: reported.append((message.partition(), message.offset())),
                )
                break
            except BufferError:
                producer.poll(0.05)
        if number % 500 == 0:
            producer.poll(0)
    producer.flush()
    assert len(reported) == records
    return records / (time.perf_counter() - began_s)


def kafka_python(bootstrap: str, topic: str, records: int) -> float:
    """Records per second with kafka-python, set up alike."""
    from kafka import KafkaProducer  # noqa: PLC0415  not among the project's dependencies

    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5, batch_size=262_144)
    reported: list[tuple[int, int]] = []
    began_s = time.perf_counter()
    for number in range(records):
        future = producer.send(topic, _VALUE, _KEYS[number % len(_KEYS)], timestamp_ms=_START_MS + number)
        future.add_callback(lambda metadata: reported.append((metadata.partition, metadata.offset)))
    producer.flush()
    assert len(reported) == records
    return records / (time.perf_counter() - began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--records", type=int, default=300_000)
    args = parser.parse_args()
    fast = [confluent(args.bootstrap, args.topic, args.records) for _ in range(3)]
    slow = [kafka_python(args.bootstrap, args.topic, args.records // 6) for _ in range(3)]
    print(f"confluent-kafka records/s: {[round(rate) for rate in sorted(fast)]}")
    print(f"kafka-python    records/s: {[round(rate) for rate in sorted(slow)]}")
    print(f"ratio of the medians: {sorted(fast)[1] / sorted(slow)[1]:.1f}")


if __name__ == "__main__":
    main()
