"""The comparison with others: what must come out, whether faults are found, what is measured and how it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from shop.v1.events_pb2 import Event

from jobs import baseline
from jobs.settings import Settings, Topics
from scripts.benchmark.peers import environments, latency, reference, report
from scripts.benchmark.peers.candidates import CANDIDATES
from scripts.benchmark.peers.expected import CLOSING, Expected, Found, Records, Sum, expect, windows_of
from scripts.benchmark.peers.meter import Measured, Sample, stretch
from scripts.benchmark.peers.programs.common import Arguments, arguments, destinations, ordered
from scripts.benchmark.peers.programs.event_time import InOrder, LeastOfPartitions, add_partial
from scripts.benchmark.peers.stream import closing
from scripts.benchmark.peers.tasks import DESTINATIONS, TASKS
from scripts.shop.simulator import UNDISTURBED, Shop
from scripts.shop.simulator import Settings as ShopSettings
from scripts.stack import StackError
from udfs.rules.engine import RuleSet
from udfs.rules.language import parse_rule
from udfs.validation import decode

MINUTE = 60_000


def log(events: int = 3_000) -> list[tuple[bytes, bytes]]:
    calm = replace(UNDISTURBED, disorder=0.2, disorder_max_ms=400)
    shop = Shop(ShopSettings(seed=3, start_ms=10 * MINUTE, sessions=40, disturbances=calm))
    return [(record.key, record.value or b"") for record in shop.records([10 * MINUTE + i * 20 for i in range(events)])]


def routed_as(key: bytes, value: bytes) -> list[tuple[str, bytes, bytes]]:
    return [(destination, key, value) for destination in destinations(Event.FromString(value))]


# -- the task is the same for all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["route", "route+order", "all"])
def test_what_peers_are_asked_for_is_what_the_rules_of_millrace_say(task: str) -> None:
    allowed = Topics().allowed()
    folder = TASKS[task].rules
    rules = baseline.load(folder, allowed, with_fraud=False)
    route = RuleSet([parse_rule(text, allowed) for text in rules.values()]).route
    seen: set[str] = set()
    for _, value in log():
        time_ms = Event.FromString(value).event_time_ms
        event, kind = decode(value, time_ms, MINUTE, 1_000_000)
        found = route(event, kind)
        wanted = destinations(event)
        in_order = [each for each in wanted if TASKS[task].ordered and ordered(each)]
        assert sorted(filter(None, found.ordered.split(";"))) == sorted(in_order)
        assert sorted(filter(None, found.unordered.split(";"))) == sorted(set(wanted) - set(in_order))
        seen.update(wanted)
    assert seen == set(DESTINATIONS)


def test_the_windows_alone_route_nothing() -> None:
    assert baseline.load(TASKS["sales"].rules, Topics().allowed(), with_fraud=False)
    assert all(
        '"enabled": false' in json.dumps(json.loads(text)) for text in baseline.load(TASKS["sales"].rules, Topics().allowed()).values()
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_reference_writes_what_the_task_asks_for(task: str) -> None:
    made = reference.statements(TASKS[task], Settings(heartbeat=False))
    inserts = [statement for statement in made if statement.strip().startswith("INSERT")]
    wanted = {
        "route": ["instant_routes"], "route+order": ["instant_routes", "ordered_routes"], "sales": ["sales_by_category"],
        "all": ["instant_routes", "ordered_routes", "sales_by_category"],
    }  # fmt: skip
    assert [statement.split()[2] for statement in inserts] == wanted[task]
    tables = [statement for statement in made if "CREATE TEMPORARY TABLE" in statement]
    assert len(tables) == 1 + len(inserts)
    assert any("ROW_NUMBER" in statement for statement in made) == TASKS[task].distinct
    # Decoded once, however many read it.
    assert any(statement.startswith("SHARE") for statement in made) == (len(inserts) > 1)


def test_who_can_not_do_a_task_says_why() -> None:
    for candidate in CANDIDATES.values():
        assert set(candidate.cannot) <= set(TASKS)
        assert all(candidate.cannot.values())
        assert set(candidate.cannot) != set(TASKS), f"{candidate.name} does nothing"


def test_versions_of_peers_are_pinned() -> None:
    assert all("==" in each for wanted in environments.REQUIREMENTS.values() for each in wanted)


def test_a_worker_s_command_line() -> None:
    own = arguments([
        "--bootstrap", "b", "--prefix", "p.", "--group", "g", "--task", "route", "--guarantee", "exactly-once", "--worker", "1",
        "--workers", "2", "--partitions", "4", "--bound-ms", "500",
        "--window-ms", "6", "--slide-ms", "3", "--commit-ms", "2000", "--state", "s",
    ])  # fmt: skip
    assert own == Arguments("b", "p.", "g", "route", "exactly-once", 1, 2, 4, 500, 6, 3, 2000, "s")
    assert own.exactly_once
    assert own.topics() == ["p.orders", "p.payments", "p.session-activity", "p.fraud-detection"]


# -- what must come out ----------------------------------------------------------------------------------------------------------


def test_windows_that_hold_a_time_end_within_five_minutes_after_it() -> None:
    assert windows_of(600_000)[0] == 310_000
    assert windows_of(609_999)[-1] == 600_000
    assert len(windows_of(605_000)) == 30


def test_sales_are_summed_in_each_window_that_holds_them() -> None:
    event = Event(event_id="e", session_id="s", event_time_ms=600_000)
    event.order_placed.total.currency = "EUR"
    for quantity, price in ((2, 100), (1, 50)):
        line = event.order_placed.lines.add(category="toys", quantity=quantity)
        line.unit_price.amount_minor = price
    found = expect([(b"s", event.SerializeToString())])
    assert len(found.sales) == 30
    assert set(found.sales.values()) == {Sum(3, 250)}
    assert found.routed["orders"].count == 1


def test_disorder_is_counted_so_that_an_input_without_any_is_seen() -> None:
    records = sorted(log(), key=lambda record: Event.FromString(record[1]).event_time_ms)
    assert expect(records).inversions == 0
    assert expect(reversed(records)).inversions > 100


def test_progress_of_routes_is_their_share_and_of_windows_what_has_closed() -> None:
    expected = expect(log())
    assert expected.events_behind(TASKS["route"], expected.outputs(TASKS["route"])) == expected.events
    assert expected.events_behind(TASKS["route"], 0) == 0
    behind = [expected.events_behind(TASKS["sales"], outputs) for outputs in range(0, len(expected.sales) + 1)]
    assert behind[0] == 0
    assert behind == sorted(behind)
    assert behind[-1] == expected.events
    end = sorted({start + 5 * MINUTE for _, _, start in expected.sales})[2]
    closed = sum(start + 5 * MINUTE <= end for _, _, start in expected.sales)
    assert behind[closed] == sum(count for start, count in expected.arrivals.items() if start < end)
    assert behind[closed - 1] < behind[closed]


def test_time_goes_on_step_by_step_behind_the_last_event_and_then_beyond_all_windows() -> None:
    expected = expect(log())
    records = list(closing(expected, "c"))
    times = [each.event_time_ms for each in records]
    assert times == sorted(times)
    views = [each for each in records if each.HasField("product_viewed")]
    steps = [expected.last_ms, *(each.event_time_ms for each in views)]
    assert all(0 < after - before <= 100 for before, after in pairwise(steps))
    assert steps[-1] > expected.last_ms + 2 * 500
    assert any(each % 1_000 == 0 for each in steps[1:])
    later = expect((b"c", each.SerializeToString()) for each in records)
    # Whatever was sold is sold again, in windows apart from those that count.
    assert {window[:2] for window in expected.sales} <= {window[:2] for window in later.sales}
    assert min(window[2] for window in later.sales) > expected.last_ms
    assert all(decode(each.SerializeToString(), each.event_time_ms, MINUTE, 1_000_000) for each in records)


# -- what did come out -------------------------------------------------------------------------------------------------------------


def found(task: str, records: list[tuple[str, bytes, bytes]], sales: dict[tuple[str, str, int], Sum] | None = None) -> Found:
    result = Found(TASKS[task])
    for destination, key, value in records:
        result.add_event(destination, 0, key, value)
    for (category, currency, start), total in (sales or {}).items():
        row = {"category": category, "currency": currency, "window_start": start, **total._asdict()}
        result.add_window(json.dumps(row).encode())
    return result


def test_the_right_records_in_any_order_are_right() -> None:
    records = log()
    expected = expect(records)
    out = [each for record in reversed(records) for each in routed_as(*record)]
    assert found("route", out).faults(expected) == []


@pytest.mark.parametrize("fault", ["lost", "doubled", "altered", "misrouted"])
def test_one_wrong_record_is_found(fault: str) -> None:
    records = log(500)
    out = [each for record in records for each in routed_as(*record)]
    destination, key, value = out[7]
    out[7:8] = {
        "lost": [],
        "doubled": [out[7]] * 2,
        "altered": [(destination, key, value[:-1] + b"~")],
        "misrouted": [(next(each for each in DESTINATIONS if each != destination), key, value)],
    }[fault]
    assert found("route", out).faults(expect(records))


def test_a_session_out_of_order_is_found_only_where_order_is_asked_for() -> None:
    records = log()
    expected = expect(records)
    in_order = sorted(records, key=lambda record: Event.FromString(record[1]).event_time_ms)
    good = [each for record in in_order for each in routed_as(*record)]
    assert found("route+order", good).faults(expected) == []
    wrong = found("route+order", good[::-1]).faults(expected)
    assert len(wrong) == 1
    assert "behind later ones" in wrong[0]
    assert found("route", good[::-1]).faults(expected) == []


def test_a_session_in_two_partitions_has_no_order() -> None:
    records = [record for record in log() if destinations(Event.FromString(record[1])) == ("session-activity",)]
    result = Found(TASKS["route+order"])
    for number, (key, value) in enumerate(sorted(records, key=lambda record: Event.FromString(record[1]).event_time_ms)):
        result.add_event("session-activity", number % 2, key, value)
    assert "in another partition" in " ".join(result.faults(expect(records)))


def test_windows_are_compared_one_by_one() -> None:
    expected = expect(log())
    assert found("sales", [], expected.sales).faults(expected) == []
    window = next(iter(expected.sales))
    less = {each: total for each, total in expected.sales.items() if each != window}
    assert "missing" in found("sales", [], less).faults(expected)[0]
    other = expected.sales | {window: replace_amount(expected.sales[window])}
    assert "wrong" in found("sales", [], other).faults(expected)[0]
    more = expected.sales | {("no such category", "EUR", window[2]): Sum(1, 1)}
    assert "too many" in found("sales", [], more).faults(expected)[0]


def test_windows_of_the_closing_records_are_nobody_s_fault() -> None:
    expected = expect(log())
    later = expected.sales | {("toys", "EUR", expected.last_ms + 10 * MINUTE): Sum(1, 0)}
    assert found("sales", [], later).faults(expected) == []


def test_a_window_told_twice_must_be_the_same() -> None:
    expected = expect(log())
    result = found("sales", [], expected.sales)
    window, total = next(iter(expected.sales.items()))
    row = dict(zip(("category", "currency", "window_start"), window, strict=True))
    result.add_window(json.dumps(row | total._asdict()).encode())
    assert result.faults(expected) == []
    result.add_window(json.dumps(row | replace_amount(total)._asdict()).encode())
    assert "differently" in result.faults(expected)[0]


def replace_amount(total: Sum) -> Sum:
    return total._replace(amount_minor=total.amount_minor + 1)


def test_the_hash_of_records_does_not_depend_on_their_order_but_on_their_number() -> None:
    one, other, twice = Records(), Records(), Records()
    for key in (b"a", b"b"):
        one.add(key, b"v")
    for key in (b"b", b"a"):
        other.add(key, b"v")
    for key in (b"a", b"b", b"b"):
        twice.add(key, b"v")
    assert one == other != twice


def test_closing_records_are_known_by_their_key() -> None:
    class Message:
        def topic(self) -> str:
            return "peers.orders"

        def partition(self) -> int:
            return 0

        def key(self) -> bytes:
            return f"{CLOSING}0".encode()

        def value(self) -> bytes:
            return b"x"

    result = Found(TASKS["route"])
    result.add("peers.", Message())  # type: ignore[arg-type]
    assert result.faults(Expected()) == []


# -- event time in the peers' programs -------------------------------------------------------------------------------------------------


def test_events_of_a_partition_come_in_order_and_only_when_nothing_on_time_can_precede_them() -> None:
    waiting, out = InOrder(500), list[str]()
    for time_ms, name in ((1_000, "b"), (600, "a"), (1_000, "c"), (1_499, "e"), (1_400, "d")):
        waiting.add(time_ms, name)
        out += waiting.due()
    assert out == ["a"]
    waiting.add(1_500, "f")
    assert list(waiting.due()) == ["b", "c"]
    # Restored from a snapshot, what is of the same millisecond stays in the order of arrival.
    restored = InOrder(500, *waiting.snapshot())
    restored.add(1_400, "d2")
    restored.add(2_000, "g")
    assert list(restored.due()) == ["d", "d2", "e", "f"]


def test_the_order_of_a_real_log_is_mended() -> None:
    waiting, out = InOrder(500), list[int]()
    for _, value in log():
        event = Event.FromString(value)
        waiting.add(event.event_time_ms, event.event_time_ms)
        out += waiting.due()
    assert len(out) > 2_900
    assert out == sorted(out)


def test_time_is_that_of_the_partition_furthest_behind() -> None:
    times = LeastOfPartitions(2)
    times.advance(0, 900)
    assert times.least() is None
    times.advance(1, 100)
    times.advance(0, 800)
    assert times.least() == 100
    times.advance(1, 1_000)
    assert times.least() == 900
    restored = LeastOfPartitions(2, times.newest)
    restored.advance(0, 2_000)
    assert (restored.least(), times.least()) == (1_000, 900)


def test_windows_of_partitions_are_added_up_once_all_are_past_them() -> None:
    pending: dict[str, object] = {}
    told = []
    # Partition 0 is far ahead; partition 1 has sold nothing in the window that starts at 10.
    for partition, start, sums in ((0, 0, [1, 10]), (0, 10, [2, 20]), (0, 20, [4, 40]), (1, 0, [8, 80]), (1, 20, [16, 160])):
        told.append(add_partial(pending, partition, start, sums, 2))
        pending = json.loads(json.dumps(pending))
    assert told == [[], [], [], [(0, [9, 90])], [(10, [2, 20]), (20, [20, 200])]]
    assert pending["windows"] == {}


# -- what is measured ----------------------------------------------------------------------------------------------------------------


def test_only_the_stretch_in_the_middle_counts() -> None:
    # A second of start-up, then 100 events a second: 2 ms each of its own, 1 ms of Kafka.
    samples = [
        Sample(1 + second, 100 * second, 9 + 0.2 * second, 5 + 0.1 * second, 1000 + (500 if second == 4 else 0)) for second in range(11)
    ]
    measured = stretch(samples, float, 1_000)
    assert measured.events_per_s == pytest.approx(100)
    assert [measured.engine_us, measured.broker_us] == pytest.approx([2_000, 1_000])
    assert measured.events_per_core_s == pytest.approx(1e6 / 3_000)
    assert measured.peak_memory_bytes == 1500


def test_a_run_that_is_over_at_once_is_refused() -> None:
    with pytest.raises(StackError, match="too few events"):
        stretch([Sample(0, 0, 0, 0, 0), Sample(1, 1000, 1, 1, 1)], float, 1_000)


# -- how it is shown -------------------------------------------------------------------------------------------------------------------


def run(rate: float, own: float = 8.0, kafka: float = 2.0) -> Measured:
    return Measured(rate, own, kafka, 3 * 2**20)


def cells(row: report.Row) -> str:
    return report.table([row]).splitlines()[2]


def test_a_row_shows_medians_and_the_spread() -> None:
    row = report.Row("A", "exactly-once", (run(1_000), run(3_000), run(2_000)))
    assert cells(row).startswith("| A | exactly-once | 2,000 (1,000–3,000) | 8.0 (8.0–8.0) | 2.0 (2.0–2.0) | 10.0 (10.0–10.0) | 100,000")
    assert cells(replace(row, runs=(run(1_000),))) == "| A | exactly-once | 1,000 | 8.0 | 2.0 | 10.0 | 100,000 | 3 |"
    assert {cells(each).count("|") for each in (row, report.Row("B", "none", (), "no"))} == {report.HEADER.splitlines()[0].count("|")}


def test_what_a_row_does_beyond_and_why_it_has_no_figures_stands_beneath_the_table_once() -> None:
    rows = [
        report.Row("A", "x", (run(1),), beyond="more"),
        report.Row("B", "x", (), "it can't", beyond="more"),
        report.Row("C", "x", (run(1),), beyond="more"),
        report.Row("D", "x", (run(1),)),
    ]
    lines = report.table(rows).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:6]] == ["A [1]", "B", "C [1]", "D"]
    assert lines[3] == "| B | x | – [2] | | | | | |"
    assert lines[6:] == ["", "1. Beyond the task: more.", "2. it can't"]


def test_millrace_is_compared_with_all_others_by_each_of_its_backends() -> None:
    rows = [
        report.Row("heap", "x", (run(2_000),), own=True),
        report.Row("disk", "x", (run(500, 18.0),), own=True),
        report.Row("no", "x"),
        report.Row("B", "y", (run(1_000, 18.0),)),
    ]
    table = report.ratios(rows).splitlines()
    assert table[2:] == ["| | heap | disk |", "|---|---|---|", "| B, y | 2.00 (2.00) | 1.00 (0.50) |"]
    assert report.ratios(rows[:3]) == ""
    assert report.ratios(rows[2:]) == ""


def test_millrace_says_at_each_task_what_it_does_beyond() -> None:
    own = [each for each in CANDIDATES.values() if each.own]
    assert {each.backend for each in own} == {"hashmap", "rocksdb"}
    assert all(set(each.beyond) == set(TASKS) for each in own)
    assert all(set(each.beyond) <= set(TASKS) - set(each.cannot) for each in CANDIDATES.values())


def test_the_picture_is_svg_with_a_bar_for_each_that_ran() -> None:
    rows = [
        report.Row("A <&", "exactly-once", (run(1_000), run(2_000, 9.0))),
        report.Row("B", "at-least-once"),
        report.Row("C", "x", (run(9),)),
    ]
    drawn = report.picture("route", rows)
    root = ElementTree.fromstring(drawn)
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "A <&" in texts
    assert "C" in texts
    assert "B" not in texts


# -- latency beside others ---------------------------------------------------------------------------------------------------------


def test_flink_shows_both_guarantees_and_the_others_their_own() -> None:
    shown = [(each.name, each.guarantee) for each in latency.variants(["millrace-rocksdb", "bytewax"])]

    assert shown == [("millrace, rocksdb", "exactly-once"), ("millrace, rocksdb", "at-least-once"), ("Bytewax", "at-least-once")]


def test_latency_counts_what_came_out_of_what_went_in() -> None:
    reached = latency.Reached(2_000, [5.0, 7.0, 400.4], 81.6, due=4)

    assert reached.line("a", "at-least-once") == "| a | at-least-once | 2,000 | 7 | 400 | 400 | 82 | 75.0% |"
