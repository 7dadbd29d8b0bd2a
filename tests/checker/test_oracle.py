"""From input records to what must come out."""

from __future__ import annotations

from shop.v1.events_pb2 import Event, LineItem, Money, OrderPlaced, ProductViewed

from scripts.checker.model import Problem, Sale
from scripts.checker.oracle import check_ledger, expect, with_faults
from scripts.checker.rules import parse_rule
from scripts.shop.faults import Fault
from scripts.shop.ledger import UNACKNOWLEDGED, Entry
from tests.checker.ideal import RULES, shop_entries

NOW_MS = 1_790_000_000_000


def view(event_id: str, offset: int, time_ms: int = NOW_MS, partition: int = 0, session_id: str = "s") -> Entry:
    event = Event(event_id=event_id, session_id=session_id, event_time_ms=time_ms, product_viewed=ProductViewed(product_id="p"))
    return Entry(partition, offset, time_ms, session_id.encode(), event.SerializeToString())


def test_destinations_come_from_all_rules_that_match() -> None:
    line = LineItem(product_id="p", category="toys", quantity=2, unit_price=Money(amount_minor=30_000, currency="USD"))
    order = OrderPlaced(order_id="o", lines=[line], total=Money(amount_minor=60_000, currency="USD"))
    value = Event(event_id="e", session_id="s", event_time_ms=NOW_MS, order_placed=order).SerializeToString()
    event = expect([Entry(0, 0, NOW_MS, b"s", value)], RULES).events["e"]
    assert event.ordered == {"session-activity", "orders"}
    assert event.unordered == {"order-alerts", "fraud-detection"}
    assert event.routes["fraud-detection"] == {"high-value"}
    assert event.sales == (Sale("toys", "USD", 2, 60_000),)


def test_at_once_wins_where_rules_ask_for_one_destination_in_both_orders() -> None:
    rules = [
        parse_rule({"id": order, "version": 1, "when": {"events": ["*"]}, "to": [{"topic": "t", "order": order}]})
        for order in ("none", "session")
    ]
    for given in (rules, rules[::-1]):
        event = expect([view("e", 0)], given).events["e"]
        assert (event.ordered, event.unordered, event.routes["t"]) == (frozenset(), frozenset({"t"}), frozenset({"none", "session"}))


def test_an_event_without_a_rule_goes_nowhere_but_is_expected_to_count() -> None:
    expectation = expect([view("e", 0)], RULES[1:])
    assert expectation.events["e"].destinations == frozenset()


def test_copies_are_one_event() -> None:
    expectation = expect([view("e", 0), view("e", 3), view("f", 1)], RULES)
    assert list(expectation.events) == ["e", "f"]
    assert expectation.copies == 1
    assert expectation.records == 3
    assert not expectation.doubts.counts


def test_a_copy_with_another_content_is_a_doubt() -> None:
    assert expect([view("e", 0), view("e", 1, NOW_MS + 1)], RULES).doubts.count(Problem.ORACLE_DOUBT) == 1


def test_overtaken_is_the_newest_time_before_it_in_its_own_partition() -> None:
    entries = [
        view("a", 0, NOW_MS),
        view("b", 1, NOW_MS + 9),
        view("c", 2, NOW_MS + 5),
        view("d", 0, NOW_MS + 1, partition=1),
        view("a", 3, NOW_MS),  # a copy: not the one that counts
        view("b", 1, NOW_MS + 9, partition=1),  # a copy that may have been read first
    ]
    events = expect(reversed(entries), RULES).events
    assert {event_id: event.overtaken_ms - NOW_MS for event_id, event in events.items()} == {
        "a": -1 - NOW_MS,
        "b": 1,
        "c": 9,
        "d": -1 - NOW_MS,
    }


def test_invalid_records_advance_the_clock_as_well() -> None:
    events = expect([Entry(0, 0, NOW_MS + 7, b"s", None), view("a", 1)], RULES).events
    assert events["a"].overtaken_ms == NOW_MS + 7


def test_each_invalid_record_is_a_dead_letter_even_if_it_is_a_copy() -> None:
    expectation = expect([Entry(0, 4, NOW_MS, b"s", b""), Entry(0, 5, NOW_MS, b"s", b""), Entry(1, 4, NOW_MS, b"s", None)], RULES)
    assert sorted(expectation.dead_letters) == [(0, 4), (0, 5), (1, 4)]
    assert expectation.dead_letters[1, 4].value == b""
    assert expectation.dead_letters[0, 4].reasons == {"empty"}


def test_generator_and_checker_agree_on_what_is_broken() -> None:
    """Two independent views of the proto: what the generator broke, and what the checker finds broken."""
    expectation = expect(shop_entries(6_000, seed=11), RULES)
    assert not expectation.doubts.examples
    assert len(expectation.dead_letters) > 100


def test_a_disagreement_is_a_doubt() -> None:
    assert expect([view("e", 0)._replace(fault=Fault.EMPTY)], RULES).doubts.count(Problem.ORACLE_DOUBT) == 1
    assert expect([Entry(0, 0, NOW_MS, b"s", b"", Fault.NONE)], RULES).doubts.count(Problem.ORACLE_DOUBT) == 1
    assert expect([Entry(0, 0, NOW_MS, b"s", b"")], RULES).doubts.count(Problem.ORACLE_DOUBT) == 0


class TestLedgerAgainstTopic:
    TOPIC = (view("a", 0), view("b", 1), view("c", 2))

    def test_a_part_of_the_topic(self) -> None:
        assert not check_ledger(self.TOPIC[:2], self.TOPIC).counts
        assert not check_ledger([self.TOPIC[0]._replace(fault=Fault.NONE, copy=True)], self.TOPIC).counts

    def test_confirmed_but_not_there(self) -> None:
        assert check_ledger([view("d", 3)], self.TOPIC).count(Problem.NOT_IN_TOPIC) == 1

    def test_other_bytes(self) -> None:
        assert check_ledger([view("x", 1)], self.TOPIC).count(Problem.NOT_IN_TOPIC) == 1

    def test_unconfirmed_ones_may_be_missing(self) -> None:
        assert not check_ledger([view("d", UNACKNOWLEDGED, partition=UNACKNOWLEDGED)], self.TOPIC).counts

    def test_faults_are_taken_over(self) -> None:
        merged = with_faults(self.TOPIC, [self.TOPIC[1]._replace(fault=Fault.EMPTY, copy=True)])
        assert [entry.fault for entry in merged] == [None, Fault.EMPTY, None]
        assert merged[1].copy
