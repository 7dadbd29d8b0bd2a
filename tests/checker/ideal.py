"""A small shop, the rules for it, and the outputs of a job without fault: what the tests then break on purpose."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from scripts.checker.compare import compare
from scripts.checker.model import DEAD_LETTERS, LATE, SALES, Expectation, ExpectedEvent, Output, Outputs, Report, Terms
from scripts.checker.oracle import expect
from scripts.checker.rules import parse_rule
from scripts.shop.ledger import Entry
from scripts.shop.simulator import Disturbances, Settings, Shop
from tests.checker.ideal_sales import sales_outputs

START_MS = 1_790_000_000_000
TERMS = Terms(
    window_ms=60_000, slide_ms=10_000, totals_ms=5_000, session_gap_ms=3_000, session_step_ms=500, payment_within_ms=4_000,
    now_ms=START_MS + 10_000_000,
)  # fmt: skip
RULES = [
    parse_rule(document)
    for document in (
        {"id": "all-activity", "version": 1, "when": {"events": ["*"]}, "to": [{"topic": "session-activity", "order": "session"}]},
        {
            "id": "all-orders",
            "version": 1,
            "when": {"events": ["order_placed", "order_cancelled"]},
            "to": [{"topic": "orders", "order": "session"}, {"topic": "order-alerts", "order": "none"}],
        },
        {
            "id": "high-value",
            "version": 1,
            "when": {"events": ["order_placed"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">", "value": 15_000}]},
            "to": [{"topic": "fraud-detection", "order": "none"}],
        },
    )
]


def shop_entries(events: int = 1_500, seed: int = 5, per_second: int = 50, partitions: int = 2) -> list[Entry]:
    """What a generator would have written into a ledger: half a minute of a shop with plenty of everything that goes wrong."""
    wild = Disturbances(late=0.02, duplicates=0.02, malformed=0.03, unknown=0.01)
    shop = Shop(Settings(seed=seed, start_ms=START_MS, sessions=60, disturbances=wild))
    records = shop.records(START_MS + number * 1000 // per_second for number in range(events)) + shop.drain()
    offsets = [0] * partitions
    entries = []
    for record in records:
        partition = zlib.crc32(record.key) % partitions
        entries.append(Entry(partition, offsets[partition], record.timestamp_ms, record.key, record.value, record.fault, record.copy))
        offsets[partition] += 1
    return entries


def late_ids(expectation: Expectation, terms: Terms = TERMS) -> frozenset[str]:
    """The events that their own partition had left behind by more than the bound."""
    return frozenset(event.event_id for event in expectation.events.values() if event.overtaken_ms > event.time_ms + terms.lateness_ms)


def _headers(**headers: object) -> tuple[tuple[str, bytes], ...]:
    return tuple((name.replace("_", "-"), str(value).encode()) for name, value in headers.items())


def ideal_outputs(expectation: Expectation, late: Collection[str], terms: Terms = TERMS) -> list[Output]:
    """What a faultless job writes, each topic in log order (two partitions each)."""
    on_time = sorted((event for event in expectation.events.values() if event.event_id not in late), key=lambda event: event.time_ms)
    numbers: dict[str, int] = {}
    out: list[Output] = []
    for event in on_time:
        numbers[event.session_id] = number = numbers.get(event.session_id, 0) + 1
        for topic in sorted(event.ordered):
            out.append(_routed(event, topic, session_seq=number))
    for event in expectation.events.values():
        for topic in sorted(event.unordered):
            out.append(_routed(event, topic))
        if event.event_id in late:
            missed = ";".join(sorted(event.ordered))
            headers = _headers(event_id=event.event_id, late_by_ms=1, missed=missed)
            out.append(Output(LATE, 0, 0, event.time_ms, event.key, event.value, headers))
    for letter in expectation.dead_letters.values():
        headers = _headers(
            reason=min(letter.reasons),
            detail="",
            topic="events",
            partition=letter.partition,
            offset=letter.offset,
            timestamp=letter.timestamp_ms,
        )
        out.append(Output(DEAD_LETTERS, 0, 0, letter.timestamp_ms, None, letter.value, headers))
    out += brute_force_windows([event for event in on_time if event.sales], terms)
    out += sales_outputs(on_time, terms)
    return number_offsets(out)


def _routed(event: ExpectedEvent, topic: str, **more: object) -> Output:
    key = event.session_id.encode()
    headers = _headers(event_id=event.event_id, event_type=event.event_type, rules=";".join(sorted(event.routes[topic])), **more)
    return Output(topic, zlib.crc32(key) % 2, 0, event.time_ms, key, event.value, headers)


def brute_force_windows(orders: list[ExpectedEvent], terms: Terms) -> list[Output]:
    """Goes over every window that could hold an order, and for each over every order."""
    out: list[Output] = []
    if not orders:
        return out
    first = (orders[0].time_ms - terms.window_ms) // terms.slide_ms * terms.slide_ms
    for start in range(first, orders[-1].time_ms + 1, terms.slide_ms):
        inside = [order for order in orders if start <= order.time_ms < start + terms.window_ms]
        for category, currency in sorted({(sale.category, sale.currency) for order in inside for sale in order.sales}):
            lines = [[sale for sale in order.sales if (sale.category, sale.currency) == (category, currency)] for order in inside]
            amount = sum(sale.amount_minor for sales in lines for sale in sales)
            count = sum(1 for sales in lines if sales)
            row = {
                "category": category,
                "currency": currency,
                "window_start": start,
                "window_end": start + terms.window_ms,
                "orders": count,
                "quantity": sum(sale.quantity for sales in lines for sale in sales),
                "amount_minor": amount,
                "avg_minor_per_minute": amount / (terms.window_ms / 60_000),
                "avg_minor_per_order": amount / count,
            }
            out.append(Output(SALES, 0, 0, start, category.encode(), json.dumps(row).encode()))
    return out


def number_offsets(outputs: Iterable[Output]) -> list[Output]:
    next_offset: dict[tuple[str, int], int] = {}
    numbered = []
    for output in outputs:
        place = (output.topic, output.partition)
        numbered.append(output._replace(offset=next_offset.get(place, 0)))
        next_offset[place] = next_offset.get(place, 0) + 1
    return numbered


@dataclass(frozen=True)
class Run:
    """A faultless run, ready to be broken."""

    expectation: Expectation
    outputs: list[Output]
    late: frozenset[str]

    @classmethod
    def make(cls, entries: list[Entry] | None = None) -> Run:
        expectation = expect(entries if entries is not None else shop_entries(), RULES)
        late = late_ids(expectation)
        return cls(expectation, ideal_outputs(expectation, late), late)

    def report(self, outputs: list[Output] | None = None, **terms: object) -> Report:
        given = replace(TERMS, **terms)  # type: ignore[arg-type]
        return compare(self.expectation, Outputs.of(self.outputs if outputs is None else outputs), given)

    def index(self, topic: str, wanted: Callable[[Output], bool] = lambda _: True, nth: int = 0) -> int:
        """Where the nth output of a topic stands that is wanted."""
        return [i for i, output in enumerate(self.outputs) if output.topic == topic and wanted(output)][nth]

    def event(self, output: Output) -> ExpectedEvent:
        return self.expectation.events[output.header("event-id") or ""]

    def without(self, index: int) -> list[Output]:
        return self.outputs[:index] + self.outputs[index + 1 :]

    def changed(self, index: int, **fields: object) -> list[Output]:
        return [*self.outputs[:index], self.outputs[index]._replace(**fields), *self.outputs[index + 1 :]]  # type: ignore[arg-type]

    def with_header(self, index: int, name: str, value: str | None) -> list[Output]:
        headers = [(key, old) for key, old in self.outputs[index].headers if key != name]
        if value is not None:
            headers.append((name, value.encode()))
        return self.changed(index, headers=tuple(headers))
