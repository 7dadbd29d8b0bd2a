"""What the view makes of each kind of record, without Kafka."""

from __future__ import annotations

import pytest
from shop.v1.events_pb2 import Event, UserSignedIn

from scripts.demo_app.state import DEAD_LETTERS, EVENTS, FRAUD, LATE, RULE_STATUS, SALES, ViewState
from scripts.outputs.record import Offsets, Record
from scripts.outputs.rules import RuleInForce
from tests.demo_app.samples import NOON_MS, alert, dead_letter, failure, order, seen, signal, status, window


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (order(123_456), "order over $1000: 1,234.56 USD"),
        (order(100_000), "order: 1,000.00 USD"),  # not over
        (order(123_456, "EUR"), "order: 1,234.56 EUR"),
        (order(123_456, "JPY"), "order: 123,456 JPY"),
        (failure("declined"), "payment failed: declined, 19.99 EUR"),
        (failure(""), "payment failed: no reason given, 19.99 EUR"),
        (alert(Event(session_id="s", user_signed_in=UserSignedIn())), "user signed in"),
        (alert(Event(session_id="s")), "unknown event"),
    ],
)
def test_an_alert_in_words(record: Record, what: str) -> None:
    assert [each.what for each in seen(record).alerts] == [what]


def test_the_last_five_alerts_are_kept_and_all_are_counted() -> None:
    state = seen(*(order(200_000, session=f"s-{number}", time_ms=NOON_MS + number) for number in range(7)))
    assert [(each.session, each.time_ms - NOON_MS) for each in state.alerts] == [(f"s-{number}", number) for number in range(2, 7)]
    assert state.totals().alerts == 7


def test_dead_letters_are_counted_by_reason() -> None:
    state = seen(dead_letter(b"malformed"), dead_letter(b"malformed"), dead_letter(b"empty"), Record(DEAD_LETTERS), dead_letter(b"\xff"))
    assert state.dead_letters == {"malformed": 2, "empty": 1, "no reason": 1, "\ufffd": 1}


def test_invented_reasons_do_not_fill_the_memory() -> None:
    state = seen(*(dead_letter(f"reason-{number}".encode() + b"x" * 10_000) for number in range(1_000)))
    assert len(state.dead_letters) == 51
    assert max(map(len, state.dead_letters)) == 100
    assert sum(state.dead_letters.values()) == state.totals().topics[DEAD_LETTERS] == 1_000


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (Record(SALES, b"", partition=3, offset=7), "sales.by-category[3]@7: no JSON"),
        (Record(SALES, b"[]"), "a JSON list, not an object"),
        (Record(SALES, b'{"category": 1}'), "category is 1, must be a string"),
        (window("books", 1.0, orders="many"), "orders is 'many', must be an integer"),  # type: ignore[arg-type]
        (window("books", None), "avg_minor_per_minute is None, must be a number"),  # type: ignore[arg-type]
        (status("r", True), "version is True, must be an integer"),
        (status("r", 1, "perhaps"), "status is 'perhaps', must be accepted"),
        (Record(FRAUD, b"\xff\xff\xff"), "no shop.v1.Event"),
        (Record(FRAUD, b""), "an event without session_id"),
    ],
)
def test_an_unreadable_record_is_counted_and_says_where_it_lies(record: Record, problem: str) -> None:
    state = seen(record, order(200_000))
    assert (state.unreadable, len(state.alerts)) == (1, 1)
    assert problem in state.last_unreadable
    assert state.counts[record.topic] >= 1


def test_only_the_newest_windows_in_the_currency_with_most_orders_are_ranked() -> None:
    state = seen(
        window("gone", 99, end_ms=NOON_MS - 10_000, orders=50),
        *(window(category, amount, orders=2) for category, amount in [("a", 1), ("b", 6), ("c", 3), ("d", 3), ("e", 5), ("f", 2)]),
        window("a", 1_000, "JPY"),
        window("gone", 99, end_ms=NOON_MS - 10_000, orders=50),  # after a restart it may come again
        window("b", 7, orders=2),
    )
    assert [(each.category, each.per_minute) for each in state.sales.top(5)] == [("b", 7), ("e", 5), ("c", 3), ("d", 3), ("f", 2)]
    assert ViewState().sales.top(5) == []


def rules(*records: Record) -> list[RuleInForce]:
    return seen(*records).rules.rules()


def test_a_rule_is_in_force_in_as_many_subtasks_as_said_so() -> None:
    first = [status("a", 1, subtask=0), status("a", 1, subtask=1)]
    assert rules(*first) == [RuleInForce("a", 1, 2, 2)]
    assert rules(*first, *first) == [RuleInForce("a", 1, 2, 2)]
    assert rules(*first, status("a", 2, subtask=1)) == [RuleInForce("a", 2, 1, 2)]
    assert rules(*first, status("a", 3, "rejected"), status("a", 1, "stale")) == [RuleInForce("a", 1, 2, 2)]
    assert rules(*first, status("a", 1, "deleted", 0)) == [RuleInForce("a", 1, 1, 2)]
    assert rules(*first, status("a", 1, "deleted", 0), status("a", 1, "deleted", 1)) == []


def test_a_job_that_starts_anew_begins_with_lower_versions_and_may_have_fewer_subtasks() -> None:
    before = [status("a", 5, subtask=0), status("a", 5, subtask=1)]
    assert rules(*before, status("a", 1, subtask=0), status("a", 1, subtask=1)) == [RuleInForce("a", 1, 2, 2)]
    assert rules(*before, status("a", 1, subtask=0, parallelism=1)) == [RuleInForce("a", 1, 1, 1)]


def test_ticks_make_rates_and_offsets_make_the_input_s() -> None:
    state = ViewState()
    for second in range(8):
        state.tick(second)
        state.kafka_said(Offsets(arrived=2_000 * second, lag=5), second)
        state.observe(Record(LATE))
    assert state.rates[LATE].per_second(7) == 1
    assert state.rates[EVENTS].per_second(7) == 2_000
    assert state.counts[EVENTS] == 14_000
    state.kafka_silent()
    assert state.kafka_answers is False
    assert state.offsets == Offsets(14_000, 5)


def test_totals_do_not_change_afterwards() -> None:
    state = seen(window("a", 1), status("r", 1), Record(LATE), dead_letter(b"empty"))
    totals = state.totals()
    state.observe(Record(LATE))
    state.observe(dead_letter(b"empty"))
    assert (totals.late, totals.windows, totals.alerts, totals.dead_letters) == (1, 1, 0, {"empty": 1})
    assert totals.topics[RULE_STATUS] == 1


def test_alerts_of_fraud_signals_in_words() -> None:
    state = seen(*(signal(f"reason {number}", score=50.4 + number, reasons=number) for number in range(1, 5)))
    assert [each.what for each in state.signals] == ["52 (+1): reason 2", "53 (+2): reason 3", "54 (+3): reason 4"]
    assert state.totals().topics["fraud.alerts"] == 4


@pytest.mark.parametrize("value", [b"?", b"{}", b'{"reasons": []}', b'{"reasons": [{}]}', b'{"reasons": [{"text": "x"}], "time_ms": 1}'])
def test_an_alert_that_cant_be_read_is_counted(value: bytes) -> None:
    state = seen(Record("fraud.alerts", value))
    assert (state.unreadable, len(state.signals)) == (1, 0)
