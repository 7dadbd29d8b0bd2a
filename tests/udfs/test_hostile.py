"""Bytes made to break a parser: each is a dead letter or a valid event, and never a crash. Sizes are up to the limit of an event."""

from __future__ import annotations

import pytest

from tests.udfs import samples
from udfs.facts import facts
from udfs.validation import MALFORMED, MAX_DETAIL_LENGTH, UNKNOWN, InvalidEvent

VARINT, LENGTH, GROUP, END = 0, 2, 3, 4
UNKNOWN_FIELD = 99
PROTOBUF_DEPTH = 100
"""Of messages within messages, in every implementation of protobuf."""

VALID = samples.event().SerializeToString()


def varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def nested(depth: int, closed: bool = True) -> bytes:
    """Unknown groups within each other: the one form of nesting that a parser must follow in what it does not know."""
    return tag(UNKNOWN_FIELD, GROUP) * depth + tag(UNKNOWN_FIELD, END) * depth * closed


MALFORMED_BYTES = {
    "one group too deep": nested(PROTOBUF_DEPTH + 1),
    "as deep as a megabyte allows": nested((samples.MAX_BYTES - len(VALID)) // 4),
    "never closed": nested((samples.MAX_BYTES - len(VALID)) // 2, closed=False),
    "closed and never opened": tag(UNKNOWN_FIELD, END),
    "closed by another number": tag(UNKNOWN_FIELD, GROUP) + tag(UNKNOWN_FIELD + 1, END),
    "negative length": tag(UNKNOWN_FIELD, LENGTH) + varint(2**64 - 1),
    "negative length of a known field": tag(1, LENGTH) + varint(2**64 - 1),
    "length of 2 GiB - 1": tag(1, LENGTH) + varint(2**31 - 1),
    "length of 2 GiB": tag(1, LENGTH) + varint(2**31),
    "length of 4 GiB + 1": tag(1, LENGTH) + varint(2**32 + 1) + b"x",
    "one byte short": tag(1, LENGTH) + varint(3) + b"ab",
    "number of eleven bytes": tag(4, VARINT) + b"\xff" * 10 + b"\x01",
    "number without an end": tag(4, VARINT) + b"\xff" * 5,
    "field 0": b"\x00\x00",
    "wire type 6": b"\x0e\x00",
    "wire type 7": b"\x0f\x00",
    "field number over 2^29": varint(2**32 << 3) + b"\x00",
    "no UTF-8": tag(1, LENGTH) + varint(2) + b"\xc3\x28",
    "half a surrogate pair": tag(1, LENGTH) + varint(3) + b"\xed\xa0\x80",
    "overlong slash": tag(1, LENGTH) + varint(2) + b"\xc0\xaf",
}


@pytest.mark.parametrize("name", MALFORMED_BYTES)
@pytest.mark.parametrize("before", [b"", VALID], ids=["alone", "behind a valid event"])
def test_malformed(name: str, before: bytes) -> None:
    value = before + MALFORMED_BYTES[name]
    assert len(value) <= samples.MAX_BYTES, "not refused for its size"
    with pytest.raises(InvalidEvent) as refused:
        samples.decoded(value)
    assert refused.value.reason == MALFORMED
    assert len(refused.value.detail) <= MAX_DETAIL_LENGTH


def test_nesting_up_to_protobufs_own_limit_is_kept() -> None:
    value = VALID + nested(PROTOBUF_DEPTH)
    event, event_type = samples.decoded(value)
    assert event_type == "product_viewed"
    assert event.SerializeToString() == value


@pytest.mark.thorough
def test_very_many_unknown_fields() -> None:
    """Without a payload, so that all of them are looked through for one of a newer kind."""
    event = samples.event()
    event.ClearField("product_viewed")
    head = event.SerializeToString()
    number, text = tag(UNKNOWN_FIELD, VARINT) + b"\x01", tag(UNKNOWN_FIELD, LENGTH) + b"\x00"
    count = (samples.MAX_BYTES - len(head)) // 3
    assert samples.decoded(head + text * count)[1] == UNKNOWN
    with pytest.raises(InvalidEvent, match="missing-field: payload is not set"):
        samples.decoded(head + number * count)


def test_the_last_of_very_many_payloads_counts() -> None:
    """A oneof has one value, however often it is sent."""
    payload = samples.event("user_signed_in").SerializeToString()
    value = payload * (samples.MAX_BYTES // len(payload) - 1) + VALID
    event, event_type = samples.decoded(value)
    assert (event_type, event) == ("product_viewed", samples.event())


def test_an_order_of_as_many_lines_as_fit() -> None:
    order = samples.event("order_placed")
    for number in range(25_000):
        order.order_placed.lines.append(samples.line(f"c{number}", 1, 1))
    value = order.SerializeToString()
    assert samples.MAX_BYTES * 0.5 < len(value) <= samples.MAX_BYTES
    event, event_type = samples.decoded(value)
    assert facts(event, event_type).count("c24999") >= 1
