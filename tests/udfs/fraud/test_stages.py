"""The keyed stages on fakes of Flink's state and timers: what is kept, and that it goes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from udfs.fraud.sightings import Sighting
from udfs.fraud_stages import AlertMaker, SignalDetector

MINUTE = 60_000


class Key:
    """State, timers and clock of one key, and the context that a stage is called with."""

    def __init__(self, stage: Any) -> None:
        self.stage, self.now_ms = stage, 1_000
        self.text: str | None = None
        self.timers: list[int] = []
        self.reads = self.writes = 0
        stage.open(self)

    # what a stage asks of the runtime and of its context
    def get_state(self, _descriptor: Any) -> Key:
        return self

    def timer_service(self) -> Key:
        return self

    def current_processing_time(self) -> int:
        return self.now_ms

    def register_processing_time_timer(self, at_ms: int) -> None:
        self.timers.append(at_ms)

    def value(self) -> str | None:
        self.reads += 1
        return self.text

    def update(self, text: str) -> None:
        self.writes += 1
        self.text = text

    def clear(self) -> None:
        self.text = None

    def remembers(self) -> bool:
        return self.text is not None

    # what happens to it
    def send(self, *row: Any) -> list[Any]:
        return list(self.stage.process_element(row, self))

    def wait_until(self, now_ms: int) -> None:
        """The clock goes on, and timers fire."""
        while self.timers and min(self.timers) <= now_ms:
            self.now_ms = min(self.timers)
            self.timers.remove(self.now_ms)
            assert list(self.stage.on_timer(self.now_ms, self)) == []
        self.now_ms = now_ms


def bundle(*sightings: Sighting) -> str:
    return orjson.dumps({"seen": [each._asdict() for each in sightings]}).decode()


def sighting(number: int, part: str = "r/m", **changes: Any) -> Sighting:
    fields: dict[str, Any] = {"what": "orders", "by": "user", "key": "u", "user_id": "u", "window_ms": 10 * MINUTE, "over": 2} | changes
    return Sighting(part, part.partition("/")[0], 1, "velocity", 50, f"e-{number}", "s", number, **fields)


def told(number: int, **changes: Any) -> str:
    return bundle(sighting(number, **changes))


def test_a_signal_fires_to_its_subject_with_one_read_and_one_write_each() -> None:
    key = Key(SignalDetector())
    outputs = [key.send(told(number), 0) for number in range(3)]
    assert [len(each) for each in outputs] == [0, 0, 1]
    subject, firing = outputs[2][0]
    assert subject == "u"
    assert orjson.loads(firing)["evidence"] == ["e-0", "e-1", "e-2"]
    assert (key.reads, key.writes) == (3, 3)


def test_what_is_remembered_goes_after_the_silence_and_not_before() -> None:
    key = Key(SignalDetector())
    key.send(told(0), 0)
    key.wait_until(9 * MINUTE)
    key.send(told(1), 0)
    assert len(key.timers) == 1, "one timer for a key, however many events"
    key.wait_until(18 * MINUTE)
    assert key.remembers()
    assert len(key.timers) == 1
    key.wait_until(20 * MINUTE)
    assert (key.remembers(), key.timers) == (False, []), "neither state nor timer is left"
    key.send(told(2), 0)
    assert len(key.timers) == 1


def test_a_longer_window_is_waited_for() -> None:
    """A rule has been changed meanwhile."""
    key = Key(SignalDetector())
    key.send(told(0), 0)
    key.send(told(1, window_ms=60 * MINUTE), 0)
    key.wait_until(50 * MINUTE)
    assert key.remembers()
    key.wait_until(61 * MINUTE)
    assert (key.remembers(), key.timers) == (False, [])


def test_several_rules_of_one_key_share_a_read_and_a_write() -> None:
    key = Key(SignalDetector())
    outputs = [key.send(bundle(sighting(number), sighting(number, "q/m", over=1)), 0) for number in range(3)]
    assert [[orjson.loads(firing)["rule_id"] for _, firing in each] for each in outputs] == [[], ["q"], ["r", "q"]]
    assert (key.reads, key.writes) == (3, 3)


def test_a_rule_that_is_silent_is_forgotten_while_its_key_is_busy() -> None:
    key = Key(SignalDetector())
    key.send(bundle(sighting(0), sighting(0, "q/m")), 0)
    key.wait_until(9 * MINUTE)
    key.send(told(1), 0)
    key.wait_until(11 * MINUTE)
    key.send(told(2), 0)
    assert key.remembers()
    assert set(orjson.loads(key.text or "")["memory"]) == {"r/m"}


@pytest.mark.parametrize(("among_first", "number", "fires"), [(0, 9, True), (3, 3, True), (3, 4, False)])
def test_no_view_remembers_nothing(among_first: int, number: int, fires: bool) -> None:
    key = Key(SignalDetector())
    seen = Sighting("r/m", "r", 1, "no-view", 50, "e", "s", 1, by="session", key="s", among_first=among_first)
    assert [subject for subject, _ in key.send(bundle(seen), number)] == (["s"] if fires else [])
    assert (key.text, key.timers, key.reads) == (None, [], 0)


def test_alerts_by_subject() -> None:
    detector = Key(SignalDetector())
    firings = [row for number in range(4) for row in detector.send(told(number), 0)]
    maker = Key(AlertMaker(5 * MINUTE, 50))
    alerts = [row for firing in firings for row in maker.send(*firing)]
    assert [subject for subject, _ in alerts] == ["u", "u"]
    assert orjson.loads(alerts[0][1])["detected_ms"] == 1_000
    maker.wait_until(6 * MINUTE)
    assert (maker.text, maker.timers) == (None, [])


def test_alerts_below_the_least_score_are_not_made_but_kept() -> None:
    detector = Key(SignalDetector())
    (firing,) = [row for number in range(3) for row in detector.send(told(number), 0)]
    maker = Key(AlertMaker(5 * MINUTE, 50.1))
    assert maker.send(*firing) == []
    assert maker.text is not None
