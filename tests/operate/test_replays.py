"""Which dead letters and late events are written, and which are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from jobs.settings import Topics
from scripts.control.reading import Record
from scripts.operate import dead_letters, late
from scripts.operate.replay import Plan
from tests.udfs.samples import NOW_MS, TOPICS, event
from udfs.rules.language import Rule, parse_rule

NAMES = Topics("t.")
VALUE = event().SerializeToString()


def letter(offset: int = 7, reason: str = "too-large", value: bytes = VALUE) -> Record:
    headers = {"reason": reason, "detail": "why", "topic": "t.events", "partition": "2", "offset": "40", "timestamp": str(NOW_MS)}
    return Record(0, offset, NOW_MS, b"", value, tuple((name, text.encode()) for name, text in headers.items()))


def origin(*headers: tuple[str, bytes], value: bytes = VALUE) -> Record:
    return Record(2, 40, NOW_MS, b"s-1", value, headers)


def plan(records: list[Record], origins: dict[tuple[int, int], Record], done: frozenset[str] = frozenset(), **more: Any) -> Plan:
    return dead_letters.plan(NAMES.dead_letters, NAMES.events, records, origins, done, **({"most_replays": 3} | more))


def test_a_dead_letter_goes_back_as_it_came() -> None:
    [item] = plan([letter()], {(2, 40): origin(("trace", b"x"))}).items
    assert (item.topic, item.key, item.value, item.time_ms) == ("t.events", b"s-1", VALUE, NOW_MS)
    assert dict(item.headers) == {
        "trace": b"x", "replays": b"1", "origin-topic": b"t.events", "origin-partition": b"2", "origin-offset": b"40",
        "origin-timestamp": str(NOW_MS).encode(), "origin-reason": b"too-large",
    }  # fmt: skip


def test_the_first_origin_is_kept_and_replays_are_counted() -> None:
    headers = (("origin-topic", b"t.events"), ("origin-partition", b"0"), ("origin-offset", b"3"), ("origin-timestamp", b"1"),
               ("origin-reason", b"malformed"), ("replays", b"1"))  # fmt: skip
    [item] = plan([letter()], {(2, 40): origin(*headers)}).items
    assert dict(item.headers) == dict(headers) | {"replays": b"2"}


@pytest.mark.parametrize(("replays", "written"), [(b"2", 1), (b"3", 0), (b"4", 0), (b"none of ours", 0)])
def test_a_loop_ends(replays: bytes, written: int) -> None:
    found = plan([letter()], {(2, 40): origin(("replays", replays))})
    assert len(found.items) == written
    assert len(found.refused) == 1 - written


@pytest.mark.parametrize("origins", [{}, {(2, 40): origin(value=b"another")}], ids=["deleted", "of a topic made anew"])
def test_what_is_gone_from_events_is_refused_unless_asked_for(origins: dict[tuple[int, int], Record]) -> None:
    found = plan([letter()], origins)
    assert (found.items, len(found.refused)) == ((), 1)
    [item] = plan([letter()], origins, unknown_origin=True).items
    assert (item.key, dict(item.headers)["replays"]) == (b"s-1", b"1")


def test_what_the_ledger_has_is_not_written_again() -> None:
    origins = {(2, 40): origin()}
    first = plan([letter(7), letter(8)], origins)
    again = plan([letter(7), letter(8), letter(9)], origins, frozenset(item.ledger_key for item in first.items))
    assert (len(again.items), again.already) == (1, 2)


def test_reasons_are_counted_the_most_frequent_first() -> None:
    records = [letter(1, "malformed"), letter(2), letter(3)]
    found = dead_letters.by_reason(NAMES.dead_letters, records, {dead_letters.ledger_key(NAMES.dead_letters, records[2])})
    assert [(each.reason, each.count, each.replayed) for each in found] == [("too-large", 2, 1), ("malformed", 1, 0)]


# -- late events --------------------------------------------------------------------------------------------------------------


def rule(rule_id: str, **destination: Any) -> Rule:
    raw = {"id": rule_id, "version": 1, "when": {"events": ["product_viewed"]}, "to": [{"order": "session"} | destination]}
    return parse_rule(json.dumps(raw), TOPICS)


def late_event(missed: str = "orders;payments", event_id: str = "e-1") -> Record:
    sample = event(event_id=event_id, user_id="u-1")
    headers = (("event-id", event_id.encode()), ("late-by-ms", b"3000"), ("missed", missed.encode()))
    return Record(1, 5, NOW_MS, b"s-1", sample.SerializeToString(), headers)


ORDERS, PAYMENTS = rule("o", topic="orders"), rule("p", topic="payments")


def test_a_late_event_goes_to_each_destination_that_it_missed() -> None:
    found = late.plan(NAMES, [late_event()], [ORDERS, PAYMENTS], frozenset())
    assert [(item.topic, item.key, item.value) for item in found.items] == [
        (topic, b"s-1", late_event().value) for topic in ("t.orders", "t.payments")
    ]
    assert dict(found.items[0].headers) == {"event-id": b"e-1", "late-by-ms": b"3000", "replayed": b"late"}
    assert found.items[0].time_ms == NOW_MS


def test_each_event_is_written_once_to_each_destination() -> None:
    """Twice on the topic (a copy that came after the job had forgotten the first), or written by an earlier run."""
    found = late.plan(NAMES, [late_event(), late_event(), late_event(event_id="e-2")], [ORDERS, PAYMENTS], {"t.events.late/orders/e-1"})
    assert [item.ledger_key for item in found.items] == [f"t.events.late/{what}" for what in ("payments/e-1", "orders/e-2", "payments/e-2")]
    assert found.already == 3


def test_only_what_was_asked_for() -> None:
    found = late.plan(NAMES, [late_event(), late_event("", "e-2")], [ORDERS, PAYMENTS], frozenset(), only=["payments"])
    assert [item.topic for item in found.items] == ["t.payments"]


def test_a_destination_gets_the_form_that_its_rule_gives() -> None:
    found = late.plan(NAMES, [late_event("orders")], [rule("o", topic="orders", key="$.user_id", fields=["event_id"])], frozenset())
    assert (found.items[0].key, Event.FromString(found.items[0].value)) == (b"u-1", Event(event_id="e-1"))


def test_what_no_rule_sends_any_more_is_refused() -> None:
    found = late.plan(NAMES, [late_event()], [ORDERS], frozenset())
    assert [item.topic for item in found.items] == ["t.orders"]
    assert [each.why for each in found.refused] == ["payments: no rule in force sends it there in order"]


def test_masked_fields_are_never_shown_for_want_of_the_key() -> None:
    """Another rule sends the whole event there: it must not take the place of the one that masks."""
    rules = [rule("m", topic="orders", mask=["user_id"]), ORDERS]
    found = late.plan(NAMES, [late_event("orders")], rules, frozenset())
    assert found.items == ()
    assert [each.why for each in found.refused] == ["orders: a rule masks fields for it: give the job's --mask-key-file"]
    [item] = late.plan(NAMES, [late_event("orders")], rules[:1], frozenset(), mask_key=b"key").items
    assert Event.FromString(item.value).user_id not in ("", "u-1")


def test_what_is_no_event_is_refused() -> None:
    broken = Record(1, 5, NOW_MS, b"", b"\xff", (("missed", b"orders"),))
    assert [each.why for each in late.plan(NAMES, [broken], [ORDERS], frozenset()).refused] == ["is no event"]
