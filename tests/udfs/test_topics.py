"""Making the topics of rules: which are asked for, how often, and what a refusal says. No Kafka here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.udfs import samples
from udfs.rules.destinations import Destinations
from udfs.topics import Keeper, NoAnswerError


class Directory:
    """Stands for Kafka: makes every topic but those with "denied" in their names; answers only while it is up."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.up = True

    def ensure(self, topics: Iterable[str]) -> Mapping[str, str]:
        if not self.up:
            raise NoAnswerError("nobody answers")
        self.asked.append(sorted(topics))
        return {topic: "can't be made" for topic in self.asked[-1] if "denied" in topic}


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def keeper(directory: Directory) -> Keeper:
    return Keeper(Destinations(("orders", "campaign.*"), frozenset(), "t."), directory)


def rule(*topics: str, **changes: Any) -> str:
    return samples.rule_text(to=[{"topic": topic} for topic in topics], **changes)


def test_only_topics_of_a_pattern_are_asked_for_and_only_once(keeper: Keeper, directory: Directory) -> None:
    assert keeper.refusal(rule("orders"), can_mask=True) == ""
    assert directory.asked == []
    assert keeper.refusal(rule("orders", "campaign.a", "campaign.b"), can_mask=True) == ""
    assert directory.asked == [["t.campaign.a", "t.campaign.b"]]
    assert keeper.refusal(rule("campaign.b", "campaign.c"), can_mask=True) == ""
    assert directory.asked[1:] == [["t.campaign.c"]]
    assert keeper.refusal(rule("campaign.c", version=2), can_mask=True) == ""
    assert len(directory.asked) == 2


def test_a_refusal_names_the_place_and_is_asked_for_again(keeper: Keeper, directory: Directory) -> None:
    text = rule("campaign.a", "campaign.denied")
    for _ in range(2):
        assert keeper.refusal(text, can_mask=True) == "to[1].topic is 'campaign.denied', which can't be made"
    assert directory.asked == [["t.campaign.a", "t.campaign.denied"], ["t.campaign.denied"]]


def test_rules_do_not_fill_kafka_with_topics(keeper: Keeper, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("udfs.topics.MAX_TOPICS", 3)
    for name in ("a", "b", "c"):
        assert keeper.refusal(rule(f"campaign.{name}"), can_mask=True) == ""
    full = "to names a topic of a pattern, and 3 of those have been named already, more are not allowed"
    assert keeper.refusal(rule("orders", "campaign.d"), can_mask=True) == full
    assert keeper.refusal(rule("campaign.a", "campaign.c"), can_mask=True) == "", "those that are there go on"
    assert keeper.refusal(rule("orders"), can_mask=True) == ""
    assert [topic for topics in directory.asked for topic in topics] == ["t.campaign.a", "t.campaign.b", "t.campaign.c"]
    assert keeper.missing(["campaign.d", "campaign.e"]) == {}, "what is in force at a start is never refused for their number"


def test_no_answer_is_a_refusal_until_there_is_one(keeper: Keeper, directory: Directory) -> None:
    directory.up = False
    assert keeper.refusal(rule("campaign.a"), can_mask=True) == "to names a topic of a pattern, and nobody answers: push it again"
    directory.up = True
    assert keeper.refusal(rule("campaign.a"), can_mask=True) == ""
    assert keeper.missing(["campaign.a", "campaign.denied"]) == {"campaign.denied": "can't be made"}


MASKED = samples.rule_text(to=[{"topic": "campaign.a", "mask": ["user_id"]}])


@pytest.mark.parametrize("text", [None, "", "{", rule("elsewhere"), rule("campaign.a", version=0), MASKED])
def test_no_topic_is_made_for_what_is_no_rule(keeper: Keeper, directory: Directory, text: str | None) -> None:
    assert keeper.refusal(text, can_mask=False) == ""
    assert directory.asked == []
