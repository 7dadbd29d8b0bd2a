"""What is shown of a record, whole or broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.v1.events_pb2 import Event

from jobs.settings import Topics
from scripts.control.reading import Record
from scripts.operate.decode import decode, is_json, session_of
from tests.udfs.samples import event, every_event
from udfs.documents import to_document

TOPICS = Topics("t.")


@pytest.mark.parametrize("sample", every_event().values(), ids=every_event())
def test_a_whole_event_is_shown_as_it_is(sample: Event) -> None:
    shown = decode(sample.SerializeToString(), as_json=False)
    assert (shown.form, shown.content, shown.problem) == ("event", to_document(sample), "")


def test_of_a_broken_event_all_other_fields_are_shown() -> None:
    """The session's id is no UTF-8: the parser takes nothing of such an event."""
    whole = event("order_placed").SerializeToString()
    broken = whole.replace(b"s-1", b"s-\xff")
    shown = decode(broken, as_json=False)
    assert shown.form == "event"
    assert (shown.content["event_id"], shown.content["session_id"]) == ("e-1", "")
    assert shown.content["order_placed"]["order_id"] == "o-1"
    assert shown.problem == "can't be read: session_id (5 bytes)"


def test_of_an_event_that_ends_too_early_its_begin_is_shown() -> None:
    shown = decode(event("order_placed").SerializeToString()[:-3], as_json=False)
    assert (shown.form, shown.content["session_id"]) == ("event", "s-1")
    assert shown.problem.startswith("can't be read: order_placed (")


@pytest.mark.parametrize(
    ("value", "as_json", "form", "problem"),
    [
        (None, False, "none", ""),
        (b"", True, "none", ""),
        (b'{"a":1}', True, "json", ""),
        (b"{", True, "text", "no JSON: "),
        (b"hello", False, "text", "no protobuf of an event"),
        (b"\xff\xff", False, "bytes", "no protobuf of an event"),
        (b"\xff" * 300, False, "bytes", "no protobuf of an event, 300 bytes in all"),
    ],
    ids=["no value", "empty", "json", "broken json", "text", "bytes", "many bytes"],
)
def test_what_is_no_event(value: bytes | None, as_json: bool, form: str, problem: str) -> None:
    shown = decode(value, as_json=as_json)
    assert shown.form == form
    assert shown.problem == problem or (problem.endswith(": ") and shown.problem.startswith(problem))


@given(st.binary(max_size=200))
def test_no_bytes_are_too_broken_to_be_shown(value: bytes) -> None:
    assert decode(value, as_json=False).form in ("event", "text", "bytes", "none")


@given(st.integers(0, 400), st.integers(0, 255))
def test_one_wrong_byte_hides_no_more_than_it_must(at: int, byte: int) -> None:
    value = bytearray(event("order_placed").SerializeToString())
    at %= len(value)
    value[at] = byte
    shown = decode(bytes(value), as_json=False)
    try:
        expected = to_document(Event.FromString(bytes(value)))
    except Exception:  # protobuf's own, of several kinds
        assert shown.problem
    else:
        assert (shown.content, shown.problem) == (expected, "")


def test_the_session_is_the_key_or_what_the_event_says() -> None:
    value = event().SerializeToString()
    assert session_of(Record(0, 0, 0, b"s-9", value)) == "s-9"
    assert session_of(Record(0, 0, 0, b"", value)) == "s-1"
    assert session_of(Record(0, 0, 0, b"", b"\xff")) == ""


def test_results_are_json_and_routed_events_are_not() -> None:
    assert is_json("t.fraud.alerts", TOPICS)
    assert is_json("t.rules", TOPICS)
    assert not is_json("t.orders", TOPICS)
    assert not is_json("t.events.dead-letters", TOPICS)
