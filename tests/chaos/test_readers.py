"""What two readers of the same topics may differ in, and what they may not."""

from __future__ import annotations

import pytest

from jobs.settings import Topics
from scripts.chaos.readers import Place, Seen, differences, output_topics

A, B = ("orders", 0), ("orders", 1)
ONE, TWO, THREE = Seen(0, 11), Seen(2, 22), Seen(3, 33)


@pytest.mark.parametrize(
    ("first", "later", "found"),
    [
        ({A: [ONE, TWO]}, {A: [ONE, TWO]}, []),
        ({A: []}, {A: []}, []),
        # The first one goes on reading while the later one is at its end.
        ({A: [ONE, TWO, THREE]}, {A: [ONE, TWO]}, []),
        ({A: [ONE]}, {A: [ONE, TWO]}, ["orders[0]: the reader during the fault saw 1 records, the later one 2"]),
        ({A: [ONE, THREE]}, {A: [ONE, TWO]}, ["orders[0]: record 1 was at offset 3, and is another one, at offset 2"]),
        # The same offset with other content: a broker lost a record that it had shown.
        ({A: [ONE, TWO]}, {A: [ONE, Seen(2, 23)]}, ["orders[0]: record 1 was at offset 2, and is another one, at offset 2"]),
        ({A: [TWO, ONE]}, {A: [ONE, TWO]}, ["orders[0]: record 0 was at offset 2, and is another one, at offset 0"]),
        ({A: [ONE], B: [TWO]}, {A: [ONE], B: [THREE]}, ["orders[1]: record 0 was at offset 2, and is another one, at offset 3"]),
    ],
)
def test_differences(first: dict[Place, list[Seen]], later: dict[Place, list[Seen]], found: list[str]) -> None:
    assert differences(first, later) == found


def test_only_the_first_few_are_told() -> None:
    later = {("orders", partition): [ONE] for partition in range(20)}
    assert len(differences({}, later, examples=3)) == 3


def test_what_the_job_writes_for_others() -> None:
    topics = Topics(prefix="p.")
    outputs = output_topics(topics)
    assert {topics.late, topics.dead_letters, topics.sales, topics.rule_status, "p.orders", "p.fraud-detection"} <= outputs
    assert outputs.isdisjoint({topics.events, topics.heartbeat, topics.rules, topics.rule_audit})
