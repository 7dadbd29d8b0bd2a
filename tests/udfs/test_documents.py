"""An event as a plain document."""

from __future__ import annotations

import pytest
from shop.v1.events_pb2 import Event, LineItem, Money

from tests.udfs import samples
from udfs.documents import to_document
from udfs.rules.language import EVENT_TYPES

UNSET_ENVELOPE = {"event_id": "", "session_id": "", "user_id": "", "event_time_ms": 0}


def test_an_empty_event_has_its_scalars_and_no_messages() -> None:
    assert to_document(Event()) == UNSET_ENVELOPE


def test_a_whole_event() -> None:
    line = {"product_id": "p-1", "category": "books", "quantity": 1, "unit_price": {"amount_minor": 2**40, "currency": "EUR"}}
    event = samples.order(2**40, "EUR")
    event.source.app = "web"
    assert to_document(event) == {
        "event_id": "e-1",
        "session_id": "s-1",
        "user_id": "",
        "event_time_ms": samples.NOW_MS,
        "source": {"app": "web", "app_version": "", "device_id": "", "ip": "", "country": ""},
        "order_placed": {"order_id": "o-1", "lines": [line], "total": {"amount_minor": 2**40, "currency": "EUR"}},
    }


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_only_the_payload_that_is_set_is_there(event_type: str) -> None:
    assert set(to_document(samples.event(event_type))) == {*UNSET_ENVELOPE, event_type}


def test_a_message_that_is_set_but_empty_is_there() -> None:
    assert to_document(Event(user_signed_in={})) == {**UNSET_ENVELOPE, "user_signed_in": {"method": ""}}
    assert to_document(LineItem(unit_price=Money()))["unit_price"] == {"amount_minor": 0, "currency": ""}
    assert "unit_price" not in to_document(LineItem())


def test_an_empty_list_is_there() -> None:
    assert to_document(Event(order_placed={}))["order_placed"] == {"order_id": "", "lines": []}


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**53 + 1])
def test_64_bit_integers_stay_integers(number: int) -> None:
    assert to_document(Money(amount_minor=number))["amount_minor"] == number


def test_reading_changes_nothing() -> None:
    event = samples.event("product_searched")
    before = event.SerializeToString()
    to_document(event)
    assert event.SerializeToString() == before
