"""The stage before the rules are broadcast, only in a job with patterns in --destinations: a thin adapter for udfs/topics.py.

One for all, and not each subtask of decode-and-route for itself: so that all take or reject a rule alike, and no event waits for
Kafka's answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyflink.common import Row, Types
from pyflink.datastream.functions import MapFunction, RuntimeContext

from udfs.rules.destinations import Destinations
from udfs.topics import Keeper

if TYPE_CHECKING:
    from udfs.router import RouterSettings

RULE_FIELDS: Final = ("rule_id", "rule", "refusal")
"""Of a record of the rules topic: key, value, and why it can't come into force although it is a valid rule (none: it can)."""
RULE_TYPE: Final = Types.ROW_NAMED([*RULE_FIELDS], [Types.STRING()] * len(RULE_FIELDS))


def keeper(settings: RouterSettings) -> Keeper:
    """A keeper of the topics of Kafka."""
    from udfs.kafka_topics import KafkaTopics  # noqa: PLC0415 - a job without patterns does not load the client

    assert isinstance(settings.destinations, Destinations)
    assert settings.topics is not None
    return Keeper(settings.destinations, KafkaTopics(settings.topics))


class TopicMaker(MapFunction):
    """RULE_TYPE in and out: makes the topics of a rule, or fills in `refusal`."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings

    def open(self, runtime_context: RuntimeContext) -> None:
        self._keeper = keeper(self._settings)

    def map(self, value: Row) -> Row:
        refusal = self._keeper.refusal(value[1], can_mask=bool(self._settings.mask_key_file))
        return Row(value[0], value[1], refusal or value[2])
