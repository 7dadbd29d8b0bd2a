"""Values published as counters."""

from __future__ import annotations

from udfs import metrics


class Counter:
    """Stands for a counter of Flink."""

    def __init__(self) -> None:
        self.value = 0
        self.calls = 0

    def inc(self, n: int) -> None:
        assert n > 0
        self.value += n
        self.calls += 1

    def dec(self, n: int) -> None:
        assert n > 0
        self.value -= n
        self.calls += 1


class Group:
    """Stands for a metric group of Flink."""

    def __init__(self) -> None:
        self.counters: dict[str, Counter] = {}

    def counter(self, name: str) -> Counter:
        assert name not in self.counters
        return self.counters.setdefault(name, Counter())


def test_counters_follow_the_values_up_and_down() -> None:
    values = {"events": 0, "rules": 5}
    group = Group()
    publisher = metrics.Publisher(group, {"events": lambda: values["events"], "rules": lambda: values["rules"]})
    assert set(group.counters) == {"events", "rules"}, "registered before the first value"
    for values["events"], values["rules"] in ((0, 5), (64, 5), (128, 3), (128, 0), (129, 7)):
        publisher.publish()
        assert {name: counter.value for name, counter in group.counters.items()} == values


def test_a_value_that_stays_costs_no_call() -> None:
    group = Group()
    publisher = metrics.Publisher(group, {"events": lambda: 7})
    for _ in range(3):
        publisher.publish()
    assert group.counters["events"].calls == 1


def test_names_are_distinct() -> None:
    names = [value for name, value in vars(metrics).items() if name.isupper() and name != "GROUP"]
    assert len(names) == len(set(names)) >= 6
