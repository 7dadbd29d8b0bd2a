"""The one registry of the job's own metrics: each name once, with its unit and meaning above it.

Flink publishes them under the operator "decode-and-route" as <operator>.millrace.<name>.
"""

from __future__ import annotations

from typing import Final

GROUP: Final = "millrace"

# Records read from the events topic, heartbeats left out. Count.
EVENTS: Final = "events"
# Records that became dead letters. Count.
DEAD_LETTERS: Final = "deadLetters"
# Dead letters among the last 1000 to 2000 records. Per million, since Flink's Python gauges are integers.
DEAD_LETTER_PPM: Final = "deadLetterPpm"
# Valid events that no rule matched; they still count in windows and session numbers. Count.
UNROUTED: Final = "unrouted"
# Rule updates that were refused (invalid or stale). Count.
RULE_UPDATES_REFUSED: Final = "ruleUpdatesRefused"
# Rules in force, disabled ones left out. Count.
RULES_IN_FORCE: Final = "rulesInForce"
