"""A Kafka transaction as a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaException, Producer

TIMEOUT_S: Final = 30.0


@contextmanager
def transaction(producer: Producer) -> Iterator[None]:
    """Begins, and commits at the end of the block what it has produced; `producer` has been through init_transactions.

    Raises:
        KafkaException: nothing of the block is there, for who reads what is committed.
    """
    producer.begin_transaction()
    try:
        yield
        producer.commit_transaction(TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].txn_requires_abort():  # left open, it would hold back readers, the job among them, until it times out
            producer.abort_transaction(TIMEOUT_S)
        raise
