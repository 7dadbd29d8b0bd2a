"""What limits a rule beside its conditions: validity, rollout, sample. Compiled to predicates, as udfs/rules/conditions.py does."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

from udfs.rules.conditions import Predicate, Slots
from udfs.rules.language import Rule

_HASH_RANGE: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def limits(rule: Rule, slots: Slots) -> list[Predicate]:
    """The predicates of a rule that stand outside `when`."""
    found: list[Predicate] = []
    if rule.valid_from is not None:
        slot, start = slots.of("$.event_time_ms"), _epoch_ms(rule.valid_from)
        found.append(lambda values: values[slot] >= start)
    if rule.valid_until is not None:
        end_slot, end = slots.of("$.event_time_ms"), _epoch_ms(rule.valid_until)
        found.append(lambda values: values[end_slot] < end)
    if rule.rollout is not None:
        found.append(_share(slots.of(f"$.{rule.rollout.by}"), f"rollout/{rule.id}", rule.rollout.percent))
    if rule.sample is not None:
        found.append(_share(slots.of("$.event_id"), f"sample/{rule.id}", rule.sample))
    return found


def _epoch_ms(moment: datetime) -> int:
    # Rounded up: an event's time is whole milliseconds, and none is in force before its rule. Without floats, which lose one.
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


def _share(slot: int, salt: str, percent: float) -> Predicate:
    """True for `percent` of the values, by hash: the same on every subtask, at every replay, and growing with `percent`."""
    start, below = zlib.crc32(salt.encode()), percent / 100 * _HASH_RANGE
    return lambda values: share_of(values[slot], start) < below


def share_of(value: str, start: int) -> int:
    """A number from 0 to 999,999 that depends on nothing but its arguments."""
    # CRC-32 is linear: two salts give numbers that are apart by a constant xor. The multiplication takes that away.
    mixed = (zlib.crc32(value.encode(), start) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    return ((mixed >> 32) * _HASH_RANGE) >> 32
