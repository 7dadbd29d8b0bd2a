"""Events cross between the JVM and Python in batches: the layout of a batch, on both ways. Pure: no Flink, no I/O.

A crossing costs a call through two runtimes, four generators of PyFlink, a conversion for each field, and a Java exception that ends the
iterator of its results, whatever it carries. One byte string for up to some hundred events shares that among them.

In (made by jobs/PackEvents.java), one event behind the other, big endian:

    int32 size of the value, int32 partition, int64 offset, int64 record time in ms, the value

Out (taken apart by jobs/UnpackRouted.java):

    int64 record time in ms; int32 sizes of session_id, event_id, ordered, unordered, facts and of the payload; then these five as UTF-8,
    and the payload
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

_IN: Final = Struct(">iiqq")
_OUT: Final = Struct(">qiiiiii")


class Record(NamedTuple):
    """A value as it came from Kafka, and where it came from."""

    value: bytes
    partition: int
    offset: int
    time_ms: int


def records(batch: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """The events of a batch: what a Record holds, as plain tuples, which are made in a third of the time."""
    unpack, header, at, end = _IN.unpack_from, _IN.size, 0, len(batch)
    while at < end:
        size, partition, offset, time_ms = unpack(batch, at)
        at += header
        value = batch[at : at + size]
        at += size
        yield value, partition, offset, time_ms


def pack(*packed: Record) -> bytes:
    """A batch of these events."""
    return b"".join(_IN.pack(len(each.value), each.partition, each.offset, each.time_ms) + each.value for each in packed)


def routed(time_ms: int, session_id: str, event_id: str, ordered: str, unordered: str, facts: str, payload: bytes) -> bytes:
    """One event on its way out."""
    text = f"{session_id}{event_id}{ordered}{unordered}{facts}"
    if text.isascii():  # nearly all are: as many bytes as characters, so one encoding does for the five
        header = _OUT.pack(time_ms, len(session_id), len(event_id), len(ordered), len(unordered), len(facts), len(payload))
        return b"".join((header, text.encode(), payload))
    session, event, in_order, at_once, told = session_id.encode(), event_id.encode(), ordered.encode(), unordered.encode(), facts.encode()
    header = _OUT.pack(time_ms, len(session), len(event), len(in_order), len(at_once), len(told), len(payload))
    return b"".join((header, session, event, in_order, at_once, told, payload))


def unpack_routed(batch: bytes) -> Iterator[tuple[int, str, str, str, str, str, bytes]]:
    """What `routed` packed, in the order of its arguments."""
    at = 0
    while at < len(batch):
        time_ms, *sizes = _OUT.unpack_from(batch, at)
        at += _OUT.size
        parts = []
        for size in sizes:
            parts.append(batch[at : at + size])
            at += size
        session, event, in_order, at_once, told = (part.decode() for part in parts[:-1])
        yield time_ms, session, event, in_order, at_once, told, parts[-1]
