"""The stage of decode-and-route, called as Flink calls it: what counts before the first update, and at a restore."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from pyflink.common import Row

from tests.udfs import samples
from tests.udfs.test_metrics import Group
from udfs import router
from udfs.batches import Record, pack, unpack_routed
from udfs.kafka_client import Brokers
from udfs.router import EventRouter, RouterSettings
from udfs.rules.destinations import Destinations
from udfs.rules.rulebook import digest
from udfs.topics import Keeper, NoAnswerError


class State(dict[str, str]):
    """Stands for broadcast state, and for the contexts and the runtime that lead to it."""

    put = dict.__setitem__
    remove = dict.__delitem__

    def get_broadcast_state(self, _: Any) -> State:
        return self

    def get_metrics_group(self) -> Groups:
        return Groups()

    def get_index_of_this_subtask(self) -> int:
        return 0

    def get_number_of_parallel_subtasks(self) -> int:
        return 2


class Groups(Group):
    """Metric groups in groups."""

    def add_group(self, *_: str) -> Groups:
        return self

    def counter(self, name: str) -> Any:
        self.counters.pop(name, None)
        return super().counter(name)


class Directory:
    """Topics of which some can't be made; none answers if it is down."""

    def __init__(self, *denied: str, up: bool = True) -> None:
        self.denied = denied
        self.up = up

    def ensure(self, topics: Iterable[str]) -> Mapping[str, str]:
        if not self.up:
            raise NoAnswerError("nobody answers")
        return {topic: "can't be made" for topic in topics if topic in self.denied}


def stage(*baseline: str, destinations: Any = samples.TOPICS, topics: Brokers | None = None) -> tuple[EventRouter, State]:
    made, state = EventRouter(RouterSettings(baseline, destinations, 3_600_000, 1_000_000, 0.05, topics=topics)), State()
    made.open(state)  # type: ignore[arg-type]
    return made, state


def record(offset: int = 0) -> Record:
    event = samples.event("order_placed")
    return Record(event.SerializeToString(), 3, offset, event.event_time_ms)


def send(to: EventRouter, state: State) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Sends an order. Its ordered and unordered destinations, and what is told of rules: id, status, reason."""
    return split(to.process_element(pack(record()), state))  # type: ignore[arg-type]


def push(to: EventRouter, state: State, rule_id: str, text: str | None, refusal: str | None = None) -> list[tuple[str, str, str]]:
    out = list(to.process_broadcast_element(Row(rule_id, text, refusal), state))  # type: ignore[arg-type]
    assert out[-1][1][-1] == digest(text), "the answer names what it answers"
    return split(out)[1]


def split(out: Iterable[Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    rows = list(out)
    told = [each[1] for each in rows if isinstance(each, tuple)]
    batches = [each for each in rows if isinstance(each, bytes)]
    return [event[3:5] for batch in batches for event in unpack_routed(batch)], [(row[0], row[2], row[3]) for row in told]


def rule(rule_id: str, topic: str, version: int = 1) -> str:
    return samples.rule_text(id=rule_id, version=version, to=[{"topic": topic}])


def test_before_the_first_update_the_baseline_counts() -> None:
    """No update has come, and perhaps none ever will: the event must not wait for one, nor pass without rules."""
    stage_, state = stage(rule("a", "orders"))
    assert send(stage_, state) == ([("orders", "")], [("a", "accepted", "in force at start")])
    assert send(stage_, state) == ([("orders", "")], []), "told once"
    assert push(stage_, state, "a", rule("a", "payments", 2)) == [("a", "accepted", "")]
    assert send(stage_, state) == ([("payments", "")], [])


def test_a_batch_is_decided_event_by_event() -> None:
    """What is broken leaves alone, with its origin; all others go on in their order."""
    stage_, state = stage(rule("a", "orders"))
    send(stage_, state)
    good, broken = [record(offset) for offset in (7, 9)], Record(b"\xff\xff", 3, 8, 1_000)
    dead, batch = stage_.process_element(pack(good[0], broken, good[1]), state)  # type: ignore[arg-type]
    assert [(event[0], event[-1]) for event in unpack_routed(batch)] == [(each.time_ms, each.value) for each in good]
    assert (dead[0].tag_id, list(dead[1])[2:]) == ("dead-letters", [3, 8, 1_000, b"\xff\xff"])
    assert [each[0].tag_id for each in stage_.process_element(pack(broken), state)] == ["dead-letters"], "no batch of nothing"  # type: ignore[arg-type]


def test_after_a_restore_the_state_counts_before_the_first_event() -> None:
    stage_, state = stage(rule("a", "orders"), rule("b", "fraud-detection"))
    push(stage_, state, "a", rule("a", "payments", 2))
    push(stage_, state, "b", None)
    restored, _ = stage(rule("a", "orders"), rule("b", "fraud-detection"))
    assert send(restored, state) == ([("payments", "")], [("a", "accepted", "in force at start")])


def test_what_is_forgotten_leaves_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("udfs.rules.rulebook.MAX_DELETED", 2)
    stage_, state = stage()
    for name in ("a", "b", "c"):
        push(stage_, state, name, rule(name, "orders"))
    for name in ("b", "a", "c"):
        push(stage_, state, name, None)
    assert sorted(state) == ["a", "c"]


# -- topics of a pattern ---------------------------------------------------------------------------------------------------------

ALLOWED = Destinations(("orders", "campaign.*"), frozenset(), "t.")


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Directory:
    """What the stage asks instead of Kafka."""
    made = Directory()
    monkeypatch.setattr(router, "keeper", lambda settings: Keeper(settings.destinations, made))
    return made


def with_patterns(*baseline: str) -> tuple[EventRouter, State]:
    return stage(*baseline, destinations=ALLOWED, topics=Brokers("kafka:1"))


def test_a_rule_whose_topic_can_t_be_made_is_rejected_and_not_kept(directory: Directory) -> None:
    stage_, state = with_patterns(rule("a", "orders"))
    assert push(stage_, state, "a", rule("a", "campaign.x", 2), "why")[-1] == ("a", "rejected", "why")
    assert send(stage_, state)[0] == [("orders", "")]
    assert state == {}
    assert push(stage_, state, "a", rule("a", "orders"), "why") == [("a", "accepted", "already in force")]
    assert push(stage_, state, "a", rule("a", "campaign.x", 3)) == [("a", "accepted", "")]
    assert push(stage_, state, "a", rule("a", "campaign.y", 2), "why")[0][1] == "stale"


def test_at_the_start_a_rule_without_its_topic_is_out_of_force_and_the_job_goes_on(directory: Directory) -> None:
    stage_, state = with_patterns(rule("a", "campaign.x"), rule("b", "orders"))
    directory.denied = ("t.campaign.x",)
    routed, told = send(stage_, state)
    assert routed == [("orders", "")]
    assert sorted(told) == [("a", "rejected", "to names 'campaign.x', which can't be made"), ("b", "accepted", "in force at start")]
    assert push(stage_, state, "a", rule("a", "orders", 2)) == [("a", "accepted", "")]


def test_a_rule_without_its_topic_can_be_deleted(directory: Directory) -> None:
    stage_, state = with_patterns()
    push(stage_, state, "a", rule("a", "campaign.x"))
    directory.denied = ("t.campaign.x",)
    restored, _ = with_patterns()
    assert push(restored, state, "a", None) == [("a", "rejected", "to names 'campaign.x', which can't be made"), ("a", "deleted", "")]
    assert json.loads(state["a"])["deleted"]


def test_without_an_answer_the_rules_stay_in_force(directory: Directory) -> None:
    """Their topics were there when they came into force; and while Kafka is away, nothing is written anyway."""
    directory.up = False
    stage_, state = with_patterns(rule("a", "campaign.x"))
    assert send(stage_, state) == ([("campaign.x", "")], [("a", "accepted", "in force at start")])
