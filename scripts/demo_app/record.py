"""One record of an output topic, free of the Kafka client, and how fields are taken out of its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


class Unreadable(ValueError):
    """A record that is not what its topic promises; says where it lies and which field is wrong."""

    def __init__(self, record: Record, problem: str) -> None:
        super().__init__(f"{record.topic}[{record.partition}]@{record.offset}: {problem}")


@dataclass(frozen=True, slots=True)
class Record:
    """`topic` is the name without the prefix, so that nothing behind the reader knows of prefixes."""

    topic: str
    value: bytes = b""
    headers: Mapping[str, bytes] = field(default_factory=dict)
    partition: int = 0
    offset: int = 0

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

    def integer(self, name: str) -> int:
        value = self.document.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be an integer")
        return value

    def number(self, name: str) -> float:
        value = self.document.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise Unreadable(self.record, f"{name} is {value!r:.60}, must be a number")
        return float(value)
