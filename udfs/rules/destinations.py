"""Which topics rules may name: a list of names and of patterns. Pure: no Flink, no I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

WILDCARD: Final = "*"
"""In a pattern: any letters, digits, dots, dashes and underscores, also none."""
MAX_TOPIC_LENGTH: Final = 249
"""Kafka's own limit."""

_ANY: Final = "[A-Za-z0-9._-]*"


def is_pattern(entry: str) -> bool:
    """Whether an entry stands for more than one topic."""
    return WILDCARD in entry


def regex(entry: str) -> str:
    """An entry as a regular expression for the whole name of a topic; Python and Java read it alike."""
    return _ANY.join(map(re.escape, entry.split(WILDCARD)))


@dataclass(frozen=True)
class Destinations(Collection[str]):
    """The topics that rules may name, as `in` tells; iterating gives the entries, for messages.

    Attributes:
        entries: names, and patterns with `*`.
        reserved: topics that no pattern takes in: those of the job itself. Nor are Kafka's own (`__…`) ever taken in.
        prefix: goes before a name to make the topic; counts for the length.
    """

    entries: tuple[str, ...]
    reserved: frozenset[str] = frozenset()
    prefix: str = ""
    _names: frozenset[str] = field(init=False, repr=False)
    _patterns: re.Pattern[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        patterns = [regex(entry) for entry in self.entries if is_pattern(entry)]
        object.__setattr__(self, "_names", frozenset(entry for entry in self.entries if not is_pattern(entry)))
        object.__setattr__(self, "_patterns", re.compile("|".join(patterns)) if patterns else None)

    def __contains__(self, topic: object) -> bool:
        return topic in self._names or (isinstance(topic, str) and self.by_pattern(topic))

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def has_patterns(self) -> bool:
        return self._patterns is not None

    def by_pattern(self, topic: str) -> bool:
        """Whether only a pattern allows the topic: the job makes it if it is missing."""
        if self._patterns is None or topic in self._names:
            return False
        is_free = topic not in self.reserved and not (self.prefix + topic).startswith("__") and topic not in (".", "..")
        return is_free and len(self.prefix + topic) <= MAX_TOPIC_LENGTH and self._patterns.fullmatch(topic) is not None

    def made_on_demand(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Those of the topics that only a pattern allows, each once."""
        return tuple(dict.fromkeys(topic for topic in topics if self.by_pattern(topic)))


def refusal(topic: str, allowed: Collection[str]) -> str | None:
    """Why a rule may not name the topic; None: it may."""
    if topic in allowed:
        return None
    if isinstance(allowed, Destinations) and topic in allowed.reserved:
        return f"is {topic!r}, a topic of the job itself, allowed are {', '.join(allowed)}"
    return f"is {topic!r}, allowed are {', '.join(allowed)}"
