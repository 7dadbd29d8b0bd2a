"""Which topics a list of names and patterns allows."""

from __future__ import annotations

import pickle

import pytest

from jobs.settings import Topics
from tests.udfs import samples
from udfs.rules.destinations import MAX_TOPIC_LENGTH, Destinations, refusal
from udfs.rules.language import InvalidRule, parse_rule

ALLOWED = Topics(destinations=("orders", "campaign.*", "ev*", "*s-by-?")).allowed()


@pytest.mark.parametrize(
    ("topic", "is_allowed", "is_made"),
    [
        ("orders", True, False),
        ("campaign.spring", True, True),
        ("campaign.", True, True),
        ("campaign.a.b-c_D9", True, True),
        ("campaign", False, False),
        ("campaignXspring", False, False),  # a dot is a dot
        ("my-campaign.spring", False, False),
        ("campaign.spring;orders", False, False),
        ("campaign.spring|orders", False, False),
        ("campaign.größe", False, False),
        ("campaign.spring\n", False, False),
        ("", False, False),
        ("evening", True, True),
        ("events", False, False),  # the job's own
        ("events.late", False, False),
        ("events.heartbeat", False, False),
        ("events.other", True, True),
    ],
)
def test_a_topic(topic: str, is_allowed: bool, is_made: bool) -> None:
    assert (topic in ALLOWED, ALLOWED.by_pattern(topic)) == (is_allowed, is_made)


@pytest.mark.parametrize("prefix", ["", "test."])
def test_no_pattern_takes_in_a_topic_of_the_job_or_of_kafka(prefix: str) -> None:
    every = Destinations(("*",), Topics(prefix).allowed().reserved, prefix)
    topics = Topics(prefix)
    assert [topic for topic in topics.own() if topic.removeprefix(prefix) in every] == []
    assert len(topics.own()) > 10
    assert ("__consumer_offsets" in every) == bool(prefix)
    assert "." not in every
    assert "orders" in every


@pytest.mark.parametrize(("prefix", "fits"), [("", MAX_TOPIC_LENGTH), ("test.", MAX_TOPIC_LENGTH - 5)])
def test_a_topic_has_a_length_that_kafka_takes(prefix: str, fits: int) -> None:
    allowed = Destinations(("a*",), prefix=prefix)
    assert "a" * fits in allowed
    assert "a" * (fits + 1) not in allowed


def test_a_name_in_the_list_is_no_topic_to_make() -> None:
    allowed = Destinations(("campaign.spring", "campaign.*"))
    assert allowed.made_on_demand(["campaign.spring", "campaign.fall", "orders", "campaign.fall"]) == ("campaign.fall",)
    assert not Destinations(("orders", "payments")).has_patterns


def test_it_travels_with_the_job() -> None:
    assert pickle.loads(pickle.dumps(ALLOWED)) == ALLOWED
    assert "campaign.spring" in pickle.loads(pickle.dumps(ALLOWED))


def test_why_a_topic_is_refused() -> None:
    assert refusal("campaign.spring", ALLOWED) is None
    assert refusal("sales", ALLOWED) == "is 'sales', allowed are orders, campaign.*, ev*, *s-by-?"
    assert refusal("events", ALLOWED) == "is 'events', a topic of the job itself, allowed are orders, campaign.*, ev*, *s-by-?"
    assert refusal("sales", ("orders",)) == "is 'sales', allowed are orders"


def test_a_rule_may_name_a_topic_of_a_pattern() -> None:
    assert parse_rule(samples.rule_text(to=[{"topic": "campaign.spring"}]), ALLOWED).to[0].topic == "campaign.spring"
    with pytest.raises(InvalidRule, match=r"to\[0\].topic is 'events.late', a topic of the job itself, allowed are "):
        parse_rule(samples.rule_text(to=[{"topic": "events.late"}]), ALLOWED)
