"""Kafka's own directory of topics, for udfs/topics.py. Apart, so that only a job with patterns in --destinations loads the client."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from udfs.kafka_client import Brokers
from udfs.topics import NoAnswerError

log = logging.getLogger(__name__)

CONFIG: Final = {"retention.ms": "-1", "max.message.bytes": str(2 * 1024 * 1024)}
"""Of a topic that is made here. Kafka deletes by record timestamp, and replayed events have old ones; an event near the
broker's limit must also fit with its headers. Partitions and replication are the broker's defaults."""

TIMEOUT_MS: Final = 5_000
"""For each request to Kafka: rules behind wait meanwhile, events do not."""
ATTEMPTS: Final = 3


class KafkaTopics:
    """A TopicDirectory. Several may make the same topic at the same time."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def ensure(self, topics: Iterable[str]) -> Mapping[str, str]:
        wanted = tuple(topics)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._ensure(wanted)
            except (KafkaError, OSError, ValueError) as error:
                log.warning("topics %s, attempt %d: %s: %s", ", ".join(wanted), attempt, type(error).__name__, error)
                last = error
        raise NoAnswerError(f"Kafka at {self._brokers} does not answer ({type(last).__name__}: {last})")

    def _ensure(self, topics: tuple[str, ...]) -> dict[str, str]:
        admin = KafkaAdminClient(
            client_id="millrace-topics", request_timeout_ms=TIMEOUT_MS, bootstrap_timeout_ms=TIMEOUT_MS, **self._brokers.kafka_python()
        )  # fmt: skip
        try:
            existing = set(admin.list_topics())
            new = [NewTopic(topic, topic_configs=CONFIG) for topic in topics if topic not in existing]
            if not new:
                return {}
            log.info("making the topics %s", ", ".join(topic.name for topic in new))
            made = admin.create_topics(new, timeout_ms=TIMEOUT_MS, raise_errors=False)
        finally:
            admin.close()
        refused = {}
        for each in made["topics"]:
            error = for_code(each["error_code"])
            if each["error_code"] and error is not TopicAlreadyExistsError:  # somebody else was faster
                if error.retriable:
                    raise error(each.get("error_message") or "")
                refused[each["name"]] = f"does not exist and can't be made: {error.__name__} {each.get('error_message') or ''}".strip()
        return refused
