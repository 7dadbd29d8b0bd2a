"""Makes the topics that the job reads and writes."""

from __future__ import annotations

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from jobs.settings import Topics
from scripts.stack.errors import StackError
from scripts.stack.processes import wait_until
from udfs.kafka_client import Brokers, of

# Kafka deletes by record timestamp, and replayed events have old ones.
_KEEP = {"retention.ms": "-1"}
_A_WEEK = {"retention.ms": "604800000"}  # counters of every rule come every few seconds
_HEARTBEAT = {"retention.ms": "3600000", "segment.ms": "600000"}
# A tombstone that is gone would bring a deleted rule of the baseline back at the next start without state: kept for 100 years.
_COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": str(100 * 365 * 24 * 3_600_000)}
# Lists by user and product: the newest of each key, and none of those that nobody has renewed for a week.
_NEWEST = {"cleanup.policy": "compact,delete", "retention.ms": "604800000"}
# What is forgotten would be replayed again.
REPLAYS = {"cleanup.policy": "compact"}
# An event near the broker's limit must also fit with the headers of a dead letter.
_LARGER = {"max.message.bytes": str(2 * 1024 * 1024)} | _KEEP


def create(bootstrap: Brokers | str, topics: Topics, partitions: int = 4, replication: int = 1) -> None:
    """Makes all topics of the job that are not there yet.

    Raises:
        StackError: the broker refused one, or does not know of it after half a minute.
    """
    many, one = layout(topics)
    wanted = [NewTopic(name, partitions, replication, topic_configs=config) for name, config in many.items()]
    wanted += [NewTopic(name, 1, replication, topic_configs=config) for name, config in one.items()]
    admin = KafkaAdminClient(**of(bootstrap).kafka_python())
    try:
        existing = set(admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            admin.create_topics(missing)
            # What the controller has made, the broker that is asked next may not know yet.
            names = {topic.name for topic in missing}
            wait_until(lambda: names <= set(admin.list_topics()), [], "the topics", 30)
    except TopicAlreadyExistsError:
        return  # somebody else made them meanwhile
    except KafkaError as error:
        raise StackError(f"Kafka at {bootstrap} refused to create the topics: {error}") from error
    finally:
        admin.close()


def answers(bootstrap: Brokers | str, brokers: int = 1) -> bool:
    """Whether a broker answers at `bootstrap`, and knows of so many."""
    try:
        admin = KafkaAdminClient(**of(bootstrap).kafka_python(), request_timeout_ms=2000, bootstrap_timeout_ms=2000)
        try:
            return len(admin.describe_cluster()["brokers"]) >= brokers
        finally:
            admin.close()
    except (KafkaError, OSError):
        return False


def layout(topics: Topics) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Every topic of the job -> its settings: those of many partitions, those of one. flink-conf/kubernetes has the same (tests/deploy)."""
    many = {topics.events: _KEEP, topics.late: _LARGER, topics.dead_letters: _LARGER}
    many |= dict.fromkeys(topics.insights(), _KEEP)
    many |= dict.fromkeys((topics.product_recommendations, topics.user_recommendations, topics.trending), _NEWEST)
    many |= dict.fromkeys(topics.routed().values(), _LARGER)
    one = {topics.heartbeat: _HEARTBEAT, topics.rules: _COMPACTED, topics.rule_status: _A_WEEK, topics.rule_audit: _KEEP,
           topics.replays: REPLAYS}  # fmt: skip
    return many, one
