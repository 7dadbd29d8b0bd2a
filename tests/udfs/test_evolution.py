"""Bytes that this version did not write: from a newer schema, and broken ones."""

from __future__ import annotations

import random
from functools import cache
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from shop.v1 import events_pb2

from tests.udfs import samples
from udfs.documents import to_document
from udfs.facts import facts
from udfs.rules.engine import Route, RuleSet
from udfs.rules.language import EVENT_TYPES, InvalidRule
from udfs.validation import MISSING_FIELD, UNKNOWN, InvalidEvent

MUTATIONS: Final = 20_000
_Field = descriptor_pb2.FieldDescriptorProto


def add_field(message: Any, name: str, number: int, kind: int = _Field.TYPE_STRING, **more: Any) -> None:
    message.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL, **more)


@cache
def newer_event_class() -> Any:
    """Event of a schema newer than ours: a payload (40), a field of the envelope (15), and a field in OrderPlaced (12)."""
    schema = descriptor_pb2.FileDescriptorProto()
    events_pb2.DESCRIPTOR.CopyToProto(schema)
    messages = {message.name: message for message in schema.message_type}
    gift_card = schema.message_type.add(name="GiftCardRedeemed")
    add_field(gift_card, "code", 1)
    add_field(messages["Event"], "gift_card_redeemed", 40, _Field.TYPE_MESSAGE, type_name=".shop.v1.GiftCardRedeemed", oneof_index=0)
    add_field(messages["Event"], "tenant", 15)
    add_field(messages["OrderPlaced"], "gift_note", 12)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(schema)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.v1.Event"))


def newer(event_type: str) -> Any:
    """An event of ours, as the newer producer would write it."""
    event = newer_event_class().FromString(samples.event(event_type).SerializeToString())
    event.tenant = "north"
    return event


def gift_card() -> Any:
    event = newer("product_viewed")
    event.gift_card_redeemed.code = "free"
    return event


def route(event: Any, event_type: str, *rules: dict[str, Any]) -> Route:
    return RuleSet(samples.parsed(raw) for raw in rules).route(event, event_type)


def holds_all_of(event: Message, original: Any) -> bool:
    """Whether the newer consumer reads back the original from what we would write."""
    return bool(newer_event_class().FromString(event.SerializeToString()) == original)


def test_a_newer_payload_is_routed_by_what_is_known_of_it() -> None:
    original = gift_card()
    event, event_type = samples.decoded(original.SerializeToString())
    assert event_type == UNKNOWN
    assert event.session_id == "s-1"
    assert route(event, event_type, samples.rule(when={"events": ["unknown"]})) == Route("orders", "")
    assert route(event, event_type, samples.conditional_rule("$.session_id", "==", "s-1")) == Route("orders", "")
    with pytest.raises(InvalidRule, match="finds nothing, there is no 'gift_card_redeemed'"):
        samples.parsed(samples.conditional_rule("$.gift_card_redeemed.code", "exists"))
    assert holds_all_of(event, original)


def test_newer_fields_in_a_known_payload_change_nothing() -> None:
    original = newer("order_placed")
    original.order_placed.gift_note = "for you"
    event, event_type = samples.decoded(original.SerializeToString())
    assert event_type == "order_placed"
    assert to_document(event) == to_document(samples.event("order_placed"))
    assert route(event, event_type, samples.conditional_rule("$.order_placed.total.amount_minor", "==", 5498)) == Route("orders", "")
    assert facts(event, event_type) == facts(samples.event("order_placed"), event_type)
    assert holds_all_of(event, original)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_newer_envelope_leaves_each_type_known(event_type: str) -> None:
    original = newer(event_type)
    event, found = samples.decoded(original.SerializeToString())
    assert found == event_type
    assert holds_all_of(event, original)


ENVELOPE: Final = b"\x0a\x03e-1\x12\x03s-1\x20" + samples.event().SerializeToString().split(b"\x20", 1)[1][:6]


@pytest.mark.parametrize(
    "unknown",
    [b"\x7a\x01x", b"\xc0\x02\x01", b"\x80\x01\x01", b"\xc5\x02\x00\x00\x00\x00", b"\xc3\x02\xc4\x02", b""],
    ids=["field 15 of the envelope", "varint 40", "varint 16", "32 bits 40", "group 40", "nothing"],
)
def test_what_is_no_message_of_a_payload_number_is_no_payload(unknown: bytes) -> None:
    with pytest.raises(InvalidEvent, match="payload is not set") as refused:
        samples.decoded(ENVELOPE + unknown)
    assert refused.value.reason == MISSING_FIELD


@pytest.mark.parametrize("payload", [b"\xc2\x02\x00", b"\xc2\x02\x02\x0a\x00", b"\x9a\x06\x01\xff"], ids=["empty", "a field", "99, opaque"])
def test_an_unknown_message_is_a_payload(payload: bytes) -> None:
    event, event_type = samples.decoded(ENVELOPE + payload)
    assert event_type == UNKNOWN
    assert event.SerializeToString() == ENVELOPE + payload


@pytest.mark.parametrize("broken", ["session_id", "event_id"])
def test_a_newer_payload_does_not_excuse_a_broken_envelope(broken: str) -> None:
    event = gift_card()
    event.ClearField(broken)
    with pytest.raises(InvalidEvent, match=f"{broken} is empty"):
        samples.decoded(event.SerializeToString())


def mutated(values: list[bytes], rng: random.Random) -> bytes:
    """One of the values after a bit flip, a truncation, a splice, a repetition or an insertion; or random bytes."""
    value = rng.choice(values)
    at, kind = rng.randrange(len(value)), rng.randrange(6)
    match kind:
        case 0:
            flipped = bytearray(value)
            for _ in range(rng.randint(1, 4)):
                flipped[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case 1:
            return value[:at]
        case 2:
            other = rng.choice(values)
            return value[:at] + other[rng.randrange(len(other)) :]
        case 3:
            return value + rng.choice(values)
        case 4:
            return value[:at] + rng.randbytes(rng.randint(1, 8)) + value[at:]
    return rng.randbytes(rng.randrange(64))


def test_mutated_values_are_decoded_or_refused() -> None:
    """Nothing but InvalidEvent comes out of decode, and nothing at all out of the steps behind it."""
    rng = random.Random(20_260_101)
    values = [event.SerializeToString() for event in samples.every_event().values()]
    values += [newer(event_type).SerializeToString() for event_type in EVENT_TYPES]
    values.append(gift_card().SerializeToString())
    rules = RuleSet([samples.parsed(samples.conditional_rule("$..amount_minor", ">", 1, events=("order_placed",)))])
    types: dict[str, int] = {}
    refused: dict[str, int] = {}
    for _ in range(MUTATIONS):
        try:
            event, event_type = samples.decoded(mutated(values, rng))
        except InvalidEvent as invalid:
            refused[invalid.reason] = refused.get(invalid.reason, 0) + 1
            continue
        types[event_type] = types.get(event_type, 0) + 1
        rules.route(event, event_type)
        facts(event, event_type)
    assert set(types) == {*EVENT_TYPES, UNKNOWN}
    assert sum(types.values()) + sum(refused.values()) == MUTATIONS
    assert min(sum(types.values()), sum(refused.values())) > MUTATIONS // 10, f"both happen: {types}, {refused}"
    assert len(refused) >= 5, f"for many reasons: {refused}"
