"""The share of dead letters, and when to warn of it. Buckets of ten records; x is a dead letter, . is none."""

from __future__ import annotations

import pytest

from udfs.dead_letters import DeadLetterShare

ALL_GOOD = "." * 10
BUCKETS: dict[str, tuple[str, float]] = {
    "nothing yet": ("", 0.0),
    "one dead": ("x", 1.0),
    "half of a bucket": ("x....", 0.2),
    "a full bucket": ("xxxxx.....", 0.5),
    "the next begins": ("xxxxx....." + ".", 5 / 11),
    "two buckets": ("xxxxx....." + ALL_GOOD, 0.25),
    "the first is forgotten": ("xxxxx....." + ALL_GOOD + ".", 0.0),
    "only the first is forgotten": ("xxxxx....." + "x........." + ".", 1 / 11),
    "a fault after long quiet": (ALL_GOOD * 100 + "xxxxxxxxxx", 0.5),
}


def share_after(records: str, limit: float = 0.2) -> DeadLetterShare:
    share = DeadLetterShare(limit, bucket_size=10, warn_every_ms=1000)
    count(share, records)
    return share


def count(share: DeadLetterShare, records: str) -> None:
    for record in records:
        share.count(record == "x")


@pytest.mark.parametrize(("records", "expected"), BUCKETS.values(), ids=BUCKETS)
def test_share(records: str, expected: float) -> None:
    assert share_after(records).share == pytest.approx(expected)


@pytest.mark.parametrize(
    ("records", "due"),
    [
        ("", False),
        ("xxxxxxxxx", False),  # below one full bucket nothing is said
        ("xxxxxxxxxx", True),
        ("xxx.......", True),
        ("xx........", False),  # exactly the limit
        ("xx........" + "x", True),
        ("xxx......." + ALL_GOOD, False),
        ("xxx......." + ALL_GOOD + "x", False),
        (ALL_GOOD * 3 + "xxxxx", True),
    ],
)
def test_a_warning_is_due_over_the_limit(records: str, due: bool) -> None:
    assert share_after(records).warning_due(0) is due


def test_warnings_keep_their_distance() -> None:
    """
    time (ms)   500   1499   1500   2499   2500     5000
    share       over  over   over   over   under    over
    warning     yes   no     yes    no     no       yes
    """
    share = share_after("xxxxxxxxxx")
    assert [share.warning_due(now_ms) for now_ms in (500, 1499, 1500, 2499)] == [True, False, True, False]
    count(share, ALL_GOOD * 2)
    assert not share.warning_due(2500)
    count(share, "xxxxxxxxxx")
    assert share.warning_due(5000)


def test_the_first_warning_needs_no_distance_to_the_epoch() -> None:
    assert share_after("xxxxxxxxxx").warning_due(0)


def test_the_default_bucket_is_a_thousand_records() -> None:
    share = DeadLetterShare(0.05)
    count(share, "x" * 999)
    assert not share.warning_due(0)
    count(share, "x")
    assert share.warning_due(0)
    assert not share.warning_due(59_999)
    assert share.warning_due(60_000)
