"""The one registry of the job's own metrics: each name once, with its unit and meaning above it.

Flink publishes them under the operator "decode-and-route" as <operator>.millrace.<name>.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

GROUP: Final = "millrace"

# Records read from the events topic, heartbeats left out. Count.
EVENTS: Final = "events"
# Records that became dead letters. Count.
DEAD_LETTERS: Final = "deadLetters"
# The same by reason, under <operator>.millrace.reason.<reason>. Count.
DEAD_LETTERS_BY_REASON: Final = "reason"
# Dead letters among the last 1000 to 2000 records. Per million; goes up and down.
DEAD_LETTER_PPM: Final = "deadLetterPpm"
# Valid events that no rule matched; they still count in windows and session numbers. Count.
UNROUTED: Final = "unrouted"
# Rule updates that were refused (invalid or stale). Count.
RULE_UPDATES_REFUSED: Final = "ruleUpdatesRefused"
# Rules in force, disabled ones left out. Goes up and down.
RULES_IN_FORCE: Final = "rulesInForce"
# Of each rule, under <operator>.millrace.rule.<id>, since its version came into force: events of its types; matches that
# routed; matches in shadow mode; evaluations that failed; time, estimated from samples, in microseconds. Counts.
RULE_COUNTERS: Final = ("evaluated", "matched", "shadowMatched", "errors", "timeUs")


class Publisher:
    """Publishes values that Python holds as Flink counters, when told to.

    Not gauges: in thread mode a gauge is a call from Flink's metrics thread into Python, and one that comes after the
    interpreter has been closed (a cancelled job) ends the whole TaskManager with a segmentation fault (PyFlink 2.3).
    Not a counter per event: each inc() is a call into the JVM.
    """

    def __init__(self, group: Any, values: Mapping[str, Callable[[], int]]) -> None:
        """
        Args:
            group: a pyflink MetricGroup.
            values: metric name -> how to read its present value.
        """
        self._entries = [(group.counter(name), read) for name, read in values.items()]
        self._published = [0] * len(self._entries)

    def publish(self) -> None:
        """Brings the counters to the present values; a level that fell is counted down."""
        for index, (counter, read) in enumerate(self._entries):
            value = read()
            difference = value - self._published[index]
            if difference > 0:
                counter.inc(difference)
            elif difference < 0:
                counter.dec(-difference)
            self._published[index] = value
