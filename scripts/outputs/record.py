"""What the reader of Kafka hands on, free of its client, and how fields are taken out of a record's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_EXACT: Final = 2**53
"""Integers up to here are exact in JavaScript too; sums of many of them fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where the input stands.

    Args:
        arrived: events in the topic since the view began.
        lag: events that no completed checkpoint covers yet.
        missing: topics of the job that do not exist, without the prefix.
    """

    arrived: int
    lag: int
    missing: tuple[str, ...] = ()


class Unreadable(ValueError):
    """A record that is not what its topic promises; says where it lies and which field is wrong."""

    def __init__(self, record: Record, problem: str) -> None:
        super().__init__(f"{record.topic}[{record.partition}]@{record.offset}: {problem}")


@dataclass(frozen=True, slots=True)
class Record:
    """`topic` is the name without the prefix, so that nothing behind the reader knows of prefixes; `time_ms` is its timestamp."""

    topic: str
    value: bytes = b""
    headers: Mapping[str, bytes] = field(default_factory=dict)
    partition: int = 0
    offset: int = 0
    key: bytes = b""
    time_ms: int = 0

    def json(self) -> Fields:
        """The value as a JSON object; raises Unreadable."""
        try:
            document = orjson.loads(self.value)
        except orjson.JSONDecodeError as error:
            raise Unreadable(self, f"no JSON: {error}") from error
        if not isinstance(document, dict):
            raise Unreadable(self, f"a JSON {type(document).__name__}, not an object")
        return Fields(self, document)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a JSON object; each access checks the type and raises Unreadable."""

    record: Record
    document: Mapping[str, Any]

    def text(self, name: str) -> str:
        value = self.document.get(name)
        if not isinstance(value, str):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be a string")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """`default` is for a field that is not there."""
        value = self.document.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be an integer")
        if abs(value) > _EXACT:
            raise Unreadable(self.record, f"{name} is {value}, must be within 2^53")
        return value

    def number(self, name: str) -> float:
        value = self.document.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be a number")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.document.get(name)
        if not isinstance(value, bool):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be true or false")
        return value

    def objects(self, name: str, limit: int) -> list[Fields]:
        """The first `limit` objects of a list."""
        value = self.document.get(name)
        if not isinstance(value, list):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be a list")
        for each in value[:limit]:
            if not isinstance(each, dict):
                raise Unreadable(self.record, f"{name} has {each!r:.60} in it, must be objects")
        return [Fields(self.record, each) for each in value[:limit]]

    def texts(self, name: str, limit: int) -> list[str]:
        """The first `limit` texts of a list."""
        value = self.document.get(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value[:limit]):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be a list of strings")
        return value[:limit]
