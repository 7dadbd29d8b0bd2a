"""Dead letters: counted by reason, and which of them may be replayed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scripts.control.reading import Record
from scripts.operate.decode import session_of
from scripts.operate.replay import Item, Plan, Refusal

REPLAYS: Final = "replays"
"""Header of a replayed record: how often it has been replayed."""
_ORIGIN: Final = "origin-"
"""Begins the headers that say where a replayed record first came from, however often it is replayed."""
_FROM: Final = ("topic", "partition", "offset", "timestamp", "reason")
Place = tuple[int, int]


@dataclass(frozen=True)
class Reason:
    """Dead letters of one reason. Times are in milliseconds since the epoch, of the records that went wrong."""

    reason: str
    count: int
    replayed: int
    first_ms: int
    last_ms: int
    last_detail: str


def reason_of(record: Record) -> str:
    return record.header("reason") or "no reason"


def origin_of(record: Record) -> Place | None:
    """Partition and offset of the record in `events` that went wrong; None if the headers do not say."""
    partition, offset = record.header("partition"), record.header("offset")
    if partition is None or offset is None or not (partition.isdecimal() and offset.isdecimal()):
        return None
    return int(partition), int(offset)


def ledger_key(topic: str, record: Record) -> str:
    """Tells a dead letter from all others, also from those of a topic of the same name that was made anew."""
    return f"{topic}/{record.partition}/{record.offset}/{record.time_ms}"


def by_reason(topic: str, records: Iterable[Record], done: Collection[str]) -> list[Reason]:
    """The most frequent one first. `done`: keys of the ledger of replays."""
    of: dict[str, list[Record]] = {}
    for record in records:
        of.setdefault(reason_of(record), []).append(record)
    found = [
        Reason(
            reason, len(each), sum(ledger_key(topic, record) in done for record in each), min(record.time_ms for record in each),
            (last := max(each, key=lambda record: record.time_ms)).time_ms, last.header("detail") or "",
        )
        for reason, each in of.items()
    ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.count, each.reason))


def plan(
    topic: str,
    events_topic: str,
    records: Iterable[Record],
    origins: Mapping[Place, Record],
    done: Collection[str],
    *,
    most_replays: int,
    unknown_origin: bool = False,
) -> Plan:
    """What to write to `events`, and what must not go there.

    A record that is a dead letter again after its replay has a new dead letter, which names the replayed record in `events`. That
    one's header `replays` says how often this has happened; so a loop ends, whoever runs it.

    Args:
        topic, events_topic: names of the topics of dead letters and events.
        records: dead letters of the reasons that were chosen.
        origins: the records of `events` that they come from, as far as they are still there.
        done: keys of the ledger of replays.
        most_replays: a record that has been replayed so often is refused.
        unknown_origin: replay also what is no longer in `events`, as if it had never been replayed.
    """
    items, refused, already = [], [], 0
    for record in records:
        key = ledger_key(topic, record)
        if key in done:
            already += 1
            continue
        place = origin_of(record)
        origin = origins.get(place) if place is not None else None
        if origin is not None and (origin.value or b"") != (record.value or b""):
            origin = None  # the topic was made anew: another record lies there now
        replays = _replays(origin)
        name = f"{topic}[{record.partition}]@{record.offset}"
        if origin is None and not unknown_origin:
            refused.append(Refusal(name, "its record is gone from events, so how often it was replayed is not known (--unknown-origin)"))
        elif replays >= most_replays:
            refused.append(Refusal(name, f"was replayed {replays} times (--max-replays {most_replays}): {record.header('detail') or '?'}"))
        else:
            items.append(_item(key, events_topic, record, origin, replays))
    return Plan(tuple(items), tuple(refused), already)


def _replays(origin: Record | None) -> int:
    """How often the record has been replayed; many times if the header is not what this program writes."""
    text = origin.header(REPLAYS) if origin is not None else None
    if text is None:
        return 0
    return int(text) if text.isdecimal() else 1_000_000


def _item(key: str, topic: str, record: Record, origin: Record | None, replays: int) -> Item:
    kept = tuple(each for each in (origin.headers if origin else ()) if each[0] != REPLAYS)
    first = {name for name, _ in kept}
    new: dict[str, Any] = {_ORIGIN + name: record.header(name) or "" for name in _FROM if _ORIGIN + name not in first}
    headers = (*kept, *((name, str(value).encode()) for name, value in new.items()), (REPLAYS, str(replays + 1).encode()))
    record_key = origin.key if origin is not None else session_of(record).encode()
    # The timestamp stays: event time, and what the validation compares the event's own time with.
    return Item(key, topic, record_key, record.value or b"", headers, record.time_ms, {"reason": reason_of(record), "replays": replays + 1})
