"""Each fault breaks what its name says, and nothing that would hide it."""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError
from shop.v1.events_pb2 import Event, ProductViewed

from scripts.shop.faults import FAULTS, REASONS, Fault, broken_value

VALUE = Event(
    event_id="e-1", session_id="s-1", event_time_ms=1_790_000_000_000, product_viewed=ProductViewed(product_id="p")
).SerializeToString()


def broken(fault: Fault, seed: int = 0) -> bytes | None:
    return broken_value(fault, VALUE, random.Random(seed))


@pytest.mark.parametrize("fault", [*FAULTS, Fault.TOO_LARGE])
def test_changes_the_value(fault: Fault) -> None:
    assert broken(fault) != VALUE


@pytest.mark.parametrize("fault", sorted(REASONS.keys() - {Fault.EMPTY, Fault.NULL, Fault.BAD_UTF8}))
@pytest.mark.parametrize("seed", range(5))
def test_stays_decodable_where_a_field_is_at_fault(fault: Fault, seed: int) -> None:
    event = Event.FromString(broken(fault, seed) or b"")
    assert (event.session_id == "") == (fault is Fault.NO_SESSION_ID)
    assert (event.WhichOneof("payload") is None) == (fault is Fault.NO_PAYLOAD)


def test_undecodable() -> None:
    assert (broken(Fault.NULL), broken(Fault.EMPTY)) == (None, b"")
    with pytest.raises(DecodeError):
        Event.FromString(broken(Fault.BAD_UTF8) or b"")


def test_a_payload_of_a_newer_proto_goes_as_well() -> None:
    event = Event.FromString(broken_value(Fault.NO_PAYLOAD, VALUE + b"\xc2\x02\x01x", random.Random(0)) or b"")
    assert event.SerializeToString() == Event(event_id="e-1", session_id="s-1", event_time_ms=1_790_000_000_000).SerializeToString()


def test_none_is_no_fault() -> None:
    with pytest.raises(ValueError, match="NONE"):
        broken(Fault.NONE)
