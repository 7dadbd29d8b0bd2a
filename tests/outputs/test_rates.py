"""How fast a total grows."""

from __future__ import annotations

from scripts.outputs.rates import Rate


# seconds:  0    1    2    3    4    5    6    7
# total:    0   10   20   30   40   50   60   60
def test_a_rate_covers_the_last_five_seconds() -> None:
    rate = Rate(5.0)
    assert rate.per_second(0) is None
    rate.sample(0, 0)
    assert rate.per_second(0) is None
    rate.sample(1, 10)
    assert rate.per_second(1) == 10
    for second in range(2, 7):
        rate.sample(second, 10 * second)
    assert rate.per_second(6) == 10
    rate.sample(7, 60)
    assert rate.per_second(7) == (60 - 20) / 5
    for second in range(8, 13):
        rate.sample(second, 60)
    assert rate.per_second(12) == 0


def test_a_rate_whose_samples_have_ceased_is_unknown() -> None:
    rate = Rate(5.0)
    rate.sample(0, 0)
    rate.sample(1, 10)
    assert rate.per_second(6) == 10
    assert rate.per_second(6.1) is None
    rate.sample(30, 300)  # Kafka is back
    assert rate.per_second(30) == 10


def test_a_total_that_falls_begins_anew() -> None:
    """Kafka's topics were made anew: that is no negative rate."""
    rate = Rate(5.0)
    rate.sample(0, 1_000)
    rate.sample(1, 2_000)
    rate.sample(2, 30)
    assert rate.per_second(2) is None
    rate.sample(3, 60)
    assert rate.per_second(3) == 30
