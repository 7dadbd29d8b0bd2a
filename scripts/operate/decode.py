"""What stands in a record, for people: an event as its fields, JSON as it is, and of broken bytes as much as can be read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError
from shop.v1.events_pb2 import Event

from jobs.settings import Topics
from scripts.control.reading import Record
from udfs.documents import to_document

_MOST_BYTES_SHOWN: Final = 200
_LENGTHS: Final = {1: 8, 5: 4}  # of the wire types that have a fixed one
_DELIMITED: Final = 2


@dataclass(frozen=True)
class Decoded:
    """
    Attributes:
        form: "event", "json", "text", "bytes" or "none" (no value).
        content: the event or JSON as plain values; the text; the first bytes in hexadecimal digits.
        problem: what could not be read, "" if all could.
    """

    form: str
    content: Any
    problem: str = ""


def is_json(topic: str, topics: Topics) -> bool:
    """Whether the records of a topic are JSON; all others are events, as they are or with fewer fields."""
    return topic in {topics.rules, topics.rule_status, topics.rule_audit, topics.replays, *topics.insights()}


def decode(value: bytes | None, *, as_json: bool) -> Decoded:
    """The value of a record. Never raises: what can't be read is shown as far as it can."""
    if not value:
        return Decoded("none", None)
    if as_json:
        try:
            return Decoded("json", orjson.loads(value))
        except orjson.JSONDecodeError as error:
            return _plain(value, f"no JSON: {error}")
    try:
        return Decoded("event", to_document(Event.FromString(value)))
    except DecodeError:
        return _as_far_as_possible(value)


def session_of(record: Record) -> str:
    """The session that a record belongs to: its key, or what its event says (a dead letter has no key)."""
    if record.key:
        return record.key.decode(errors="replace")
    content = decode(record.value, as_json=False)
    return str(content.content.get("session_id", "")) if content.form == "event" else ""


def shown_headers(record: Record) -> dict[str, str]:
    """The headers as text; bytes that are none are shown as replacement characters."""
    return {name: value.decode(errors="replace") for name, value in record.headers}


def _as_far_as_possible(value: bytes) -> Decoded:
    """The fields of an event that can be read one by one: those before, and often those behind, the broken one."""
    good, broken = Event(), []
    for number, field, whole in _fields(value):
        try:
            if not whole:
                raise DecodeError
            good.MergeFromString(field)
        except DecodeError:
            known = Event.DESCRIPTOR.fields_by_number.get(number)
            broken.append(f"{known.name if known else f'field {number}'} ({len(field)} bytes)")
    if not good.ListFields():
        return _plain(value, "no protobuf of an event")
    return Decoded("event", to_document(good), f"can't be read: {', '.join(broken)}")


def _fields(value: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Number and bytes of each field of a protobuf message, and whether it is whole; what follows one that is not can't be told apart."""
    at = 0
    while at < len(value):
        tag, behind = _varint(value, at)
        number, kind = tag >> 3, tag & 7
        if behind == 0:
            end = 0
        elif kind == 0:
            end = _varint(value, behind)[1]
        elif kind in _LENGTHS:
            end = behind + _LENGTHS[kind]
        elif kind == _DELIMITED:
            length, begin = _varint(value, behind)
            end = begin and begin + length
        else:
            end = 0
        if end == 0 or end > len(value) or number == 0:
            yield number, value[at:], False
            return
        yield number, value[at:end], True
        at = end


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends; 0 if it does not."""
    number = 0
    for index in range(10):
        if at + index >= len(value):
            break
        byte = value[at + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    return 0, 0


def _plain(value: bytes, problem: str) -> Decoded:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        return Decoded("text", text, problem)
    more = f", {len(value):,} bytes in all" if len(value) > _MOST_BYTES_SHOWN else ""
    return Decoded("bytes", value[:_MOST_BYTES_SHOWN].hex(" ", 4), problem + more)
