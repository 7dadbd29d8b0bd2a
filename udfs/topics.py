"""Topics that rules name by a pattern of --destinations: makes those that are missing, before a rule comes into force.

A rule that sends to a topic that does not exist would stop the whole job. Pure: udfs/kafka_topics.py asks Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from udfs.rules.destinations import Destinations
from udfs.rules.language import InvalidRule, parse_rule

MAX_TOPICS: Final = 1_000
"""Most topics that only patterns allow, from one start of the job to the next: each costs partitions, and nothing deletes one."""


class NoAnswerError(Exception):
    """Kafka could not be asked; nothing is known about the topics."""


class TopicDirectory(Protocol):
    """What is known about topics, by their full names."""

    def ensure(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Makes what is missing. Returns topic -> why it is not there and can't be made.

        Raises:
            NoAnswerError: nobody answers.
        """


class Keeper:
    """Sees to it that the topics of rules are there, asking only for those that it has not seen."""

    def __init__(self, allowed: Destinations, directory: TopicDirectory) -> None:
        self._allowed = allowed
        self._directory = directory
        self._seen: set[str] = set()

    def missing(self, destinations: Iterable[str]) -> dict[str, str]:
        """Destination, as rules name it -> why there is no such topic. Those that are allowed by name are not looked at.

        Raises:
            NoAnswerError
        """
        unseen = {self._allowed.prefix + name: name for name in self._allowed.made_on_demand(destinations) if name not in self._seen}
        if not unseen:
            return {}
        refused = {unseen[topic]: reason for topic, reason in self._directory.ensure(unseen).items()}
        self._seen |= set(unseen.values()) - refused.keys()
        return refused

    def refusal(self, text: str | None, *, can_mask: bool) -> str:
        """Why a rule, as it came over the topic, must be rejected for its topics; "" if for nothing, or if it is no rule at all."""
        try:
            rule = parse_rule(text or "", self._allowed, can_mask=can_mask)
        except InvalidRule:
            return ""  # a deletion, or what the rulebook rejects with its faults
        names = [destination.topic for destination in rule.to]
        if len(self._seen.union(self._allowed.made_on_demand(names))) > MAX_TOPICS:
            return f"to names a topic of a pattern, and {MAX_TOPICS:,} of those have been named already, more are not allowed"
        try:
            refused = self.missing(names)
        except NoAnswerError as error:
            return f"to names a topic of a pattern, and {error}: push it again"
        return "; ".join(f"to[{names.index(name)}].topic is {name!r}, which {reason}" for name, reason in refused.items())
