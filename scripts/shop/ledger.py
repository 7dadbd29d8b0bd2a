"""The ledger: an append-only file of the records that Kafka has acknowledged, from which a checker derives what must come out.

Layout: `MAGIC`, then frames. A frame is two little-endian u32, the length of its body and the body's CRC-32, then the body.
The first frame's body is JSON (topic, seed, settings); every other body is `_HEAD`, then the key, then the value:

    partition i32 | offset i64 | timestamp i64 | fault u8 | copy u8 | key length i32 | value length i32 | key | value

A length of -1 is null. Partition -1: sent, but Kafka gave no acknowledgement, so it may or may not be in the topic.
A generator that ends in order closes the file with the frame `_END`. Written without a buffer of our own: when the generator
is killed, the file is a prefix, at worst with a torn last frame, which the reader leaves out. Binary and not JSON lines because
at 50,000 records/s base64 and JSON would cost more than Kafka.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from scripts.shop.faults import Fault

MAGIC = b"millrace ledger 1\n"
UNACKNOWLEDGED = -1
_END = b"end"
_FRAME = struct.Struct("<II")
_HEAD = struct.Struct("<iqqBBii")


class LedgerError(ValueError):
    """The file is no ledger, or is damaged elsewhere than at its end."""


class Entry(NamedTuple):
    """One Kafka record; `partition` is UNACKNOWLEDGED where Kafka did not confirm it.

    `fault` is None where nobody knows whether it was broken on purpose: in a record read back from the topic.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    fault: Fault | None = None
    copy: bool = False


def encode_entry(entry: Entry) -> bytes:
    partition, offset, timestamp_ms, key, value, fault, copy = entry
    key_length = -1 if key is None else len(key)
    value_length = -1 if value is None else len(value)
    head = _HEAD.pack(partition, offset, timestamp_ms, fault or Fault.NONE, copy, key_length, value_length)
    return _frame(head + (key or b"") + (value or b""))


def _frame(body: bytes) -> bytes:
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def _decode_entry(body: bytes) -> Entry:
    partition, offset, timestamp_ms, fault, copy, key_length, value_length = _HEAD.unpack_from(body)
    key_end = _HEAD.size + max(0, key_length)
    key = None if key_length < 0 else body[_HEAD.size : key_end]
    value = None if value_length < 0 else body[key_end : key_end + value_length]
    return Entry(partition, offset, timestamp_ms, key, value, Fault(fault), bool(copy))


class LedgerWriter:
    """Collects entries; `flush` hands them to the operating system."""

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)
        self._pending = [MAGIC, _frame(json.dumps(meta).encode())]
        self.flush()

    def add(self, entry: Entry) -> None:
        self._pending.append(encode_entry(entry))

    def flush(self) -> None:
        if self._pending:
            data = memoryview(b"".join(self._pending))
            self._pending.clear()
            while data:  # a raw file may take a part only
                data = data[self._file.write(data) :]

    def close(self, complete: bool = True) -> None:
        """`complete`: the generator ended in order, so that nothing it sent is missing here."""
        if complete:
            self._pending.append(_frame(_END))
        self.flush()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close(complete=error is None)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger read back. `torn_bytes` were left out at its end; `closed`: the generator ended in order."""

    meta: dict[str, Any]
    entries: list[Entry]
    torn_bytes: int
    closed: bool

    @property
    def complete(self) -> bool:
        """Whether it holds exactly what the generator put into the topic, so that it can stand for the topic."""
        return self.closed and all(entry.partition != UNACKNOWLEDGED for entry in self.entries)


def read_ledger(path: Path) -> Ledger:
    """Reads a whole ledger; raises LedgerError unless it is sound up to a torn end."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise LedgerError(f"{path} does not start as a ledger does ({MAGIC!r}), but with {data[: len(MAGIC)]!r}")
    position = len(MAGIC)
    bodies: list[bytes] = []
    for body, end in _bodies(data, position, path):
        bodies.append(body)
        position = end
    if not bodies:
        raise LedgerError(f"{path} has no head frame")
    meta, *rest = bodies
    closed = bool(rest) and rest[-1] == _END
    entries = [_decode_entry(body) for body in (rest[:-1] if closed else rest)]
    return Ledger(json.loads(meta), entries, len(data) - position, closed)


def _bodies(data: bytes, position: int, path: Path) -> Iterator[tuple[bytes, int]]:
    while position + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, position)
        end = position + _FRAME.size + length
        if end > len(data):
            return
        body = data[position + _FRAME.size : end]
        if zlib.crc32(body) != checksum:
            if end == len(data):
                return
            raise LedgerError(f"{path} is damaged at byte {position}: checksum {zlib.crc32(body):#x}, expected {checksum:#x}")
        yield body, end
        position = end
