"""Attackers and those who look like them: seeded, labelled, and within what an honest shop sends as well."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from shop.v1.events_pb2 import Event

from scripts.shop.fraudsters import PATTERNS, Label
from scripts.shop.labels import LabelWriter, labels_path, read_labels
from scripts.shop.simulator import UNDISTURBED, Disturbances, Record, Settings, Shop

START_MS = 1_790_000_000_000
SETTINGS = Settings(seed=9, start_ms=START_MS, sessions=60, fraud=0.05, disturbances=UNDISTURBED)
STEP_MS = 50
EVENTS = 60_000


def made(settings: Settings, events: int) -> tuple[list[Record], list[Label]]:
    shop = Shop(settings)
    return shop.records(START_MS + number * STEP_MS for number in range(events)) + shop.drain(), shop.labels


def decoded(records: list[Record]) -> Iterator[Event]:
    return (Event.FromString(record.value or b"") for record in records if not record.fault)


@pytest.fixture(scope="module")
def run() -> tuple[list[Record], list[Label]]:
    return made(SETTINGS, EVENTS)


@pytest.fixture(scope="module")
def events(run: tuple[list[Record], list[Label]]) -> dict[str, Event]:
    return {event.event_id: event for event in decoded(run[0])}


def attacks(labels: list[Label], pattern: str) -> list[list[Label]]:
    by_attack: dict[int, list[Label]] = defaultdict(list)
    for label in labels:
        if label.pattern == pattern:
            by_attack[label.attack].append(label)
    return list(by_attack.values())


@pytest.mark.thorough
def test_same_seed_same_fraud_however_the_times_are_cut(run: tuple[list[Record], list[Label]]) -> None:
    shop = Shop(SETTINGS)
    times = [START_MS + number * STEP_MS for number in range(EVENTS)]
    records = [record for begin in range(0, EVENTS, 777) for record in shop.records(times[begin : begin + 777])]
    assert (records + shop.drain(), shop.labels) == run
    assert made(replace(SETTINGS, seed=10), 2_000)[0] != run[0][:2_000]


def test_without_attackers_there_is_no_label_and_as_many_events() -> None:
    records, labels = made(replace(SETTINGS, fraud=0), 2_000)
    assert labels == []
    assert len(records) == 2_000


def test_a_label_is_about_an_event_that_was_sent(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    assert len(run[1]) > 1_000
    for label in run[1]:
        event = events[label.event_id]
        payload = event.WhichOneof("payload")
        assert payload is not None
        order_id = getattr(getattr(event, payload), "order_id", "")
        assert (label.session_id, label.user_id, label.time_ms, label.kind, label.order_id) == (
            event.session_id, event.user_id, event.event_time_ms, payload, order_id
        )  # fmt: skip


def test_what_is_broken_is_not_labelled() -> None:
    records, labels = made(replace(SETTINGS, disturbances=replace(Disturbances(), malformed=0.3, unknown=0.2)), 5_000)
    kinds = {event.event_id: event.WhichOneof("payload") for event in decoded(records)}
    assert len(labels) > 50
    assert all(kinds[label.event_id] == label.kind for label in labels)


def test_every_pattern_happens(run: tuple[list[Record], list[Label]]) -> None:
    counts = Counter(label.pattern for label in run[1])
    assert set(counts) == set(PATTERNS)
    assert all(len(attacks(run[1], pattern)) >= 3 for pattern in PATTERNS)


def test_card_testing_tries_few_cards_often(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    for attack in attacks(run[1], "card-testing"):
        cards = Counter(events[each.event_id].payment_failed.card_fingerprint for each in attack if each.kind == "payment_failed")
        assert len(cards) <= 6
        assert sum(each.kind == "order_placed" for each in attack) <= 1


def test_a_taken_over_account_was_somewhere_else_a_moment_ago(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    of_attackers = {label.event_id for label in run[1]}
    for attack in attacks(run[1], "account-takeover"):
        first = events[attack[0].event_id]
        assert first.WhichOneof("payload") == "user_signed_in"
        before = [event for event in events.values() if event.user_id == first.user_id and event.event_id not in of_attackers
                  and first.event_time_ms - 1_900_000 < event.event_time_ms <= first.event_time_ms]  # fmt: skip
        assert before
        assert all(event.source.country != first.source.country for event in before)


def test_a_burst_is_one_user_and_a_huge_order_is_huge(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    for attack in attacks(run[1], "order-burst"):
        assert len({each.user_id for each in attack} - {""}) == 1
    for attack in attacks(run[1], "huge-order"):
        orders = [events[each.event_id] for each in attack if each.kind == "order_placed"]
        for order in orders:
            before = [event.order_placed.total.amount_minor for event in events.values() if event.user_id == order.user_id
                      and event.HasField("order_placed") and event.event_time_ms < order.event_time_ms]  # fmt: skip
            assert order.order_placed.total.amount_minor > 5 * sum(before) / len(before)


def test_many_accounts_share_a_device(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    for attack in attacks(run[1], "many-accounts"):
        assert len({events[each.event_id].source.device_id for each in attack}) == 1
    assert max(len({each.user_id for each in attack}) for attack in attacks(run[1], "many-accounts")) >= 5


def test_a_direct_order_has_seen_nothing(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    sessions = {each.session_id for attack in attacks(run[1], "direct-order") for each in attack}
    assert len(sessions) >= 3
    assert not any(event.session_id in sessions and event.HasField("product_viewed") for event in events.values())


def test_honest_people_look_like_attackers_at_times(run: tuple[list[Record], list[Label]], events: dict[str, Event]) -> None:
    of_attackers = {label.event_id for label in run[1]}
    honest = [event for event in events.values() if event.event_id not in of_attackers]
    users_of: dict[str, set[str]] = defaultdict(set)
    devices_of: dict[str, set[str]] = defaultdict(set)
    countries: dict[str, set[str]] = defaultdict(set)
    sessions: dict[str, set[str]] = defaultdict(set)
    failures: Counter[str] = Counter()
    for event in honest:
        failures[event.payment_failed.order_id] += event.HasField("payment_failed")
        if event.user_id:
            users_of[event.source.device_id].add(event.user_id)
            devices_of[event.user_id].add(event.source.device_id)
            countries[event.user_id].add(event.source.country)
            sessions[event.user_id].add(event.session_id)
    assert sum(len(each) > 1 for each in sessions.values()) > 50, "people come back"
    assert sum(len(each) > 1 for each in users_of.values()) > 10, "families and terminals share a device"
    assert sum(len(each) > 1 for each in devices_of.values()) > 10, "people have several devices"
    assert any(len(each) > 1 for each in countries.values()), "borders and VPNs"
    assert any(count > 1 for count in failures.values()), "payments are tried again"


def test_labels_are_written_beside_the_ledger(tmp_path: Path, run: tuple[list[Record], list[Label]]) -> None:
    ledger = tmp_path / "run.ledger"
    with LabelWriter(ledger) as writer:
        writer.write(run[1][:3])
        writer.write(run[1][3:5])
    assert labels_path(ledger).name == "run.ledger.labels.jsonl"
    assert read_labels(ledger) == run[1][:5]


@pytest.mark.parametrize("settings", [{"fraud": -0.1}, {"fraud": 1.1}, {"fraud": 0.1, "compact": True}], ids=str)
def test_impossible_shares(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="fraud must be a share"):
        Settings(**settings)  # type: ignore[arg-type]
