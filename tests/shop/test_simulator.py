"""The simulated shop: repeatable, realistic in its shares, and disturbed exactly as asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop.v1.events_pb2 import Event

from scripts.shop.catalogue import zipf_picks
from scripts.shop.faults import Fault
from scripts.shop.sessions import Kind
from scripts.shop.simulator import UNDISTURBED, Disturbances, Record, Settings, Shop

START_MS = 1_790_000_000_000
CLEAN = UNDISTURBED
SMALL = Settings(seed=5, start_ms=START_MS, sessions=50)


def make(settings: Settings, events: int = 4_000, step_ms: int = 2) -> list[Record]:
    shop = Shop(settings)
    return shop.records(times(events, step_ms)) + shop.drain()


def times(events: int, step_ms: int = 2) -> Iterator[int]:
    return (START_MS + number * step_ms for number in range(events))


def only(**shares: float) -> Settings:
    return replace(SMALL, disturbances=replace(CLEAN, **shares))  # type: ignore[arg-type]


def decoded(records: list[Record]) -> list[Event]:
    return [Event.FromString(record.value or b"") for record in records]


@pytest.fixture(scope="module")
def busy() -> list[Record]:
    return make(replace(SMALL, sessions=500), 20_000)


class TestRepeatable:
    def test_same_seed_same_bytes(self) -> None:
        assert make(SMALL, 500) == make(SMALL, 500)

    @pytest.mark.parametrize("other", [replace(SMALL, seed=6), replace(SMALL, start_ms=START_MS + 1)])
    def test_another_run_shares_no_id(self, other: Settings) -> None:
        mine, theirs = (decoded(make(replace(one, disturbances=CLEAN), 500)) for one in (SMALL, other))
        assert not {event.event_id for event in mine} & {event.event_id for event in theirs}
        assert not {event.session_id for event in mine} & {event.session_id for event in theirs}

    @settings(max_examples=6, deadline=None)
    @given(st.lists(st.integers(0, 300), max_size=6).map(sorted))
    def test_however_the_times_are_cut(self, cuts: list[int]) -> None:
        """A live run in small steps makes what a bulk run makes."""
        whole, cut = Shop(SMALL), Shop(SMALL)
        all_times = list(times(300))
        expected = whole.records(all_times) + whole.drain()
        records: list[Record] = []
        for begin, end in zip([0, *cuts], [*cuts, 300], strict=True):
            records += cut.records(all_times[begin:end])
            if end > begin:
                records += cut.due(all_times[end - 1])
        assert records + cut.drain() == expected


class TestAsInAShop:
    def test_values_are_exactly_what_protobuf_would_write(self) -> None:
        for record in make(replace(SMALL, disturbances=CLEAN), 3_000):
            event = Event.FromString(record.value or b"")
            assert event.SerializeToString() == record.value
            assert event.session_id.encode() == record.key
            assert event.event_time_ms == record.timestamp_ms
            assert event.WhichOneof("payload")

    def test_every_kind_happens(self, busy: list[Record]) -> None:
        kinds = Counter(Event.FromString(record.value or b"").WhichOneof("payload") for record in busy if record.fault is Fault.NONE)
        assert {kind.name.lower() for kind in Kind} - {"unknown"} == kinds.keys() - {None}
        assert kinds[None] > 0  # a payload of a newer proto

    def test_orders(self, busy: list[Record]) -> None:
        events = decoded([record for record in busy if not record.fault])
        orders = [event.order_placed for event in events if event.HasField("order_placed")]
        assert 0.02 < len(orders) / len(busy) < 0.05
        assert 0.02 < sum(order.total.amount_minor > 100_000 for order in orders) / len(orders) < 0.12
        assert {order.total.currency for order in orders} == {"USD", "EUR", "GBP"}
        assert all(line.unit_price.currency == order.total.currency for order in orders for line in order.lines)
        assert max(len(order.lines) for order in orders) > 1

    def test_a_payment_follows_its_order(self) -> None:
        placed: set[str] = set()
        for event in decoded(make(replace(SMALL, disturbances=CLEAN), 5_000)):
            match event.WhichOneof("payload"):
                case "order_placed":
                    assert event.order_placed.order_id not in placed
                    placed.add(event.order_placed.order_id)
                case "payment_processed":
                    assert event.payment_processed.order_id in placed
                case "order_cancelled":
                    assert event.order_cancelled.order_id in placed
        assert len(placed) > 50

    def test_sizes(self, busy: list[Record]) -> None:
        sizes = sorted(len(record.value or b"") for record in busy)
        assert 140 < sizes[len(sizes) // 2] < 300
        compact = sorted(len(record.value or b"") for record in make(replace(SMALL, compact=True)))
        assert 45 < sum(compact) / len(compact) < 75

    def test_popularity_is_skewed(self) -> None:
        picks = Counter(zipf_picks(800))
        assert sum(picks.values()) == 1 << 16
        assert len(picks) == 800
        assert 1.9 < picks[0] / picks[1] < 2.3
        assert sum(picks[index] for index in range(80)) > 0.5 * sum(picks.values())

    def test_sessions_come_and_go(self, busy: list[Record]) -> None:
        lengths = Counter(record.key for record in busy)
        assert len(lengths) > 1_000
        assert 5 < sum(lengths.values()) / len(lengths) < 40


class TestSkew:
    def test_one_session_has_its_share_and_never_ends(self) -> None:
        records = make(replace(SMALL, sessions=500, hot_session=0.2, disturbances=CLEAN), 5_000)
        (key, hottest), (_, second) = Counter(record.key for record in records).most_common(2)
        assert 0.18 < hottest / len(records) < 0.22
        assert second < 100
        events = decoded([record for record in records if record.key == key])
        assert sum(event.HasField("order_placed") for event in events) > 5, "it goes on behind an order"

    def test_one_category_has_its_share_of_the_sales(self) -> None:
        events = decoded(make(replace(SMALL, hot_category=0.8, disturbances=CLEAN), 20_000))
        lines = Counter(line.category for event in events for line in event.order_placed.lines)
        (_, hottest), (_, second) = lines.most_common(2)
        assert 0.7 < hottest / lines.total() < 0.9
        assert second / lines.total() < 0.1

    @pytest.mark.parametrize("shares", [{"hot_session": 1.0}, {"hot_session": -0.1}, {"hot_category": 1.1}], ids=str)
    def test_impossible_shares(self, shares: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="must be shares"):
            replace(SMALL, **shares)  # type: ignore[arg-type]


class TestDisturbances:
    def test_none(self) -> None:
        records = make(replace(SMALL, disturbances=CLEAN))
        assert [record.timestamp_ms for record in records] == list(times(4_000))
        assert not any(record.fault or record.copy for record in records)

    def test_disorder_is_bounded(self) -> None:
        records = make(only(disorder=0.2))
        assert sorted(record.timestamp_ms for record in records) == list(times(4_000))
        behind = [newest - record.timestamp_ms for newest, record in zip(_newest(records), records, strict=True)]
        assert 0 < max(behind) <= 1_500
        assert 0.15 < sum(late > 0 for late in behind) / len(behind) < 0.25

    def test_disorder_is_within_sessions_too(self) -> None:
        newest: dict[bytes, int] = {}
        turned = 0
        for record in make(only(disorder=0.2)):
            turned += record.timestamp_ms < newest.get(record.key, 0)
            newest[record.key] = max(newest.get(record.key, 0), record.timestamp_ms)
        assert turned > 100

    def test_late(self) -> None:
        shop = Shop(only(late=0.05))
        records = shop.records(times(20_000))  # 40 s: what is still held back at the end comes last
        behind = [newest - record.timestamp_ms for newest, record in zip(_newest(records), records, strict=True)]
        late = [by for by in behind if by > 0]
        assert min(late) > 4_900
        assert max(late) <= 20_100
        rest = shop.drain()
        assert len(rest) > 100
        assert len(records) + len(rest) == 20_000

    def test_copies(self) -> None:
        records = make(only(duplicates=0.05))
        copies = [record for record in records if record.copy]
        originals = {record.value: record for record in records if not record.copy}
        assert 150 < len(copies) < 250
        assert len(originals) == 4_000
        for copy in copies:
            assert copy._replace(copy=False) == originals[copy.value]
        positions = {record.value: index for index, record in enumerate(records) if not record.copy}
        gaps = [index - positions[record.value] for index, record in enumerate(records) if record.copy]
        assert min(gaps) == 1
        assert max(gaps) > 500

    def test_malformed(self) -> None:
        records = make(only(malformed=0.1))
        assert {record.fault for record in records} == set(Fault) - {Fault.TOO_LARGE}
        assert 0.07 < sum(record.fault is not Fault.NONE for record in records) / len(records) < 0.13
        assert all(record.key for record in records)

    def test_too_large(self) -> None:
        records = make(only(too_large=0.05), 200)
        large = [record for record in records if record.fault is Fault.TOO_LARGE]
        assert 3 < len(large) < 20
        assert all(1_000_000 < len(record.value or b"") < 1_048_588 - 200 for record in large)

    @pytest.mark.parametrize("shares", [{"disorder": -0.1}, {"disorder": 0.9, "late": 0.2}, {"late_min_ms": 9, "late_max_ms": 8}])
    def test_impossible_shares(self, shares: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=r"shares|range"):
            Disturbances(**shares)  # type: ignore[arg-type]

    def test_counts_are_what_was_sent(self) -> None:
        shop = Shop(replace(SMALL, disturbances=Disturbances(late=0.02, duplicates=0.02, malformed=0.02, unknown=0.02)))
        records = shop.records(times(4_000)) + shop.drain()
        assert shop.counts.records == len(records)
        assert shop.counts.copies == sum(record.copy for record in records)
        assert shop.counts.faults == {fault: number for fault, number in Counter(record.fault for record in records).items() if fault}
        kinds = Counter(
            Event.FromString(record.value or b"").WhichOneof("payload") for record in records if not record.fault and not record.copy
        )
        assert {name: number for name, number in shop.counts.by_kind().items() if name != "unknown"} == {
            name: number for name, number in kinds.items() if name
        }
        assert shop.counts.by_kind()["unknown"] == kinds[None]


def _newest(records: list[Record]) -> Iterator[int]:
    """The highest timestamp up to each record."""
    newest = 0
    for record in records:
        newest = max(newest, record.timestamp_ms)
        yield newest
