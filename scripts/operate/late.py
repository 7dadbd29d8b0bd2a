"""Late events, and where they are to go after all. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from google.protobuf.message import DecodeError
from shop.v1.events_pb2 import Event

from jobs.settings import Topics
from scripts.control.reading import Record
from scripts.control.sources import event_type
from scripts.operate.replay import Item, Plan, Refusal
from udfs.rules.engine import DESTINATION_SEPARATOR, FORM_SEPARATOR, RuleSet
from udfs.rules.language import Rule


def missed(record: Record) -> tuple[str, ...]:
    """The ordered destinations that a late event did not go to, as rules name them."""
    return tuple(part for part in (record.header("missed") or "").split(DESTINATION_SEPARATOR) if part)


def plan(
    topics: Topics,
    records: Iterable[Record],
    rules: Iterable[Rule],
    done: Collection[str],
    *,
    mask_key: bytes | None = None,
    only: Collection[str] | None = None,
) -> Plan:
    """What to write to the destinations.

    The rules of now say in which form: late events are kept as they came, and a destination may be meant to get them with fewer or
    masked fields, or under another key. What no rule sends to a destination any more is not sent there.

    Args:
        records: of `events.late`.
        rules: those in force.
        done: keys of the ledger of replays.
        mask_key: without it, what goes to a destination that a rule masks fields for is refused, whichever rule sends it.
        only: these destinations; None: all.
    """
    in_force = list(rules)
    masked = {each.topic for rule in in_force for each in rule.to if each.mask} if mask_key is None else set()
    # Of several rules for one destination, one that masks may win: without its key, no other may stand in for it.
    rule_set = RuleSet((rule for rule in in_force if not any(each.mask for each in rule.to)) if masked else in_force, mask_key)
    items, refused, planned, already = [], [], set(), 0
    for record in records:
        name = f"{topics.late}[{record.partition}]@{record.offset}"
        wanted = [each for each in missed(record) if only is None or each in only]
        if not wanted:
            continue
        try:
            event = Event.FromString(record.value or b"")
        except DecodeError:
            refused.append(Refusal(name, "is no event"))
            continue
        forms = {form[0]: form for token in rule_set.route(event, event_type(event)).ordered.split(DESTINATION_SEPARATOR)
                 if (form := token.split(FORM_SEPARATOR))}  # fmt: skip
        for destination in wanted:
            key = f"{topics.late}/{destination}/{event.event_id}"
            if key in done or key in planned:
                already += 1
            elif destination in masked:
                refused.append(Refusal(name, f"{destination}: a rule masks fields for it: give the job's --mask-key-file"))
            elif destination not in forms:
                refused.append(Refusal(name, f"{destination}: no rule in force sends it there in order"))
            else:
                planned.add(key)
                items.append(_item(key, topics.prefix + destination, record, event, forms[destination]))
    return Plan(tuple(items), tuple(refused), already)


def _item(key: str, topic: str, record: Record, event: Event, form: list[str]) -> Item:
    """`form`: topic, and key and value in hexadecimal digits where they are not the session's id and the event's own bytes."""
    own_key, own_value = (bytes.fromhex(part) for part in (*form[1:], "", "")[:2])
    headers = (
        ("event-id", event.event_id.encode()), ("late-by-ms", (record.header("late-by-ms") or "").encode()), ("replayed", b"late"),
    )  # fmt: skip
    return Item(key, topic, own_key or event.session_id.encode(), own_value or record.value or b"", headers, record.time_ms, {})
