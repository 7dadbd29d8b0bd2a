"""Quix Streams: a StreamingDataFrame for each task, as in its documentation; bytes in and out."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any

from common import READ_AHEAD_KB, SALES, Arguments, arguments, destinations, ordered, producer_options, sold
from event_time import add_partial
from quixstreams import Application, State, message_context
from quixstreams.dataframe.windows.aggregations import Collect, Sum
from quixstreams.models import TopicConfig
from quixstreams.models.serializers import Serializer
from shop.v1.events_pb2 import Event


def main() -> None:
    own = arguments()
    producer = producer_options(own)
    del producer["acks"]  # Quix sets these itself
    app = Application(
        own.bootstrap, consumer_group=own.group, auto_offset_reset="earliest", commit_interval=own.commit_ms / 1000,
        processing_guarantee="exactly-once" if own.exactly_once else "at-least-once", state_dir=f"{own.state}/{own.worker}",
        loglevel="WARNING", auto_create_topics=own.task != "route",
        producer_extra_config=producer,
        consumer_extra_config={"queued.max.messages.kbytes": READ_AHEAD_KB},
    )  # fmt: skip
    frame = app.dataframe(app.topic(own.events, value_deserializer="bytes", key_deserializer="bytes"))
    {"route": _route, "route+order": _order, "sales": _sales}[own.task](app, frame, own)
    app.run()


class _SecondOfPair(Serializer):
    """A value is a pair of destination and bytes."""

    def __call__(self, value: tuple[str, bytes], *args: Any, **kwargs: Any) -> bytes:
        return value[1]


def _targets(app: Application, own: Arguments) -> dict[str, Any]:
    prefix, serializer = len(own.prefix), _SecondOfPair()
    return {name[prefix:]: app.topic(name, value_serializer=serializer, key_serializer="bytes") for name in own.topics()}


def _route(app: Application, frame: Any, own: Arguments) -> None:
    targets = _targets(app, own)
    parse = Event.FromString
    frame = frame.apply(lambda value: [(each, value) for each in destinations(parse(value))], expand=True)
    _send(frame, targets)


def _send(frame: Any, targets: dict[str, Any]) -> None:
    frame.to_topic(lambda pair, key, timestamp, headers: targets[pair[0]])


def _order(app: Application, frame: Any, own: Arguments) -> None:
    """Tumbling windows of the bound's length per session, closed by the time of the partition: inside of each, sorted.

    Windows that close together come in the order in which Quix stores them: time must not jump by more than one of them while a session
    goes on."""
    targets = _targets(app, own)
    parse = Event.FromString

    def routed(value: bytes) -> list[tuple[str, bytes, int]]:
        event = parse(value)
        return [(each, value, event.event_time_ms) for each in destinations(event)]

    frame = frame.apply(routed, expand=True)
    _send(frame.filter(lambda each: not ordered(each[0])), targets)
    windows = (
        frame.filter(lambda each: ordered(each[0]))
        .apply(lambda each: [each[0], each[2], b2a_base64(each[1], newline=False).decode()])  # its state is JSON
        .tumbling_window(duration_ms=own.bound_ms, grace_ms=own.bound_ms)
        .agg(events=Collect())
        .final(closing_strategy="partition")
    )
    in_order = windows.apply(
        lambda window: [(each[0], a2b_base64(each[2])) for each in sorted(window["events"], key=lambda each: each[1])], expand=True
    )
    _send(in_order, targets)


def _sales(app: Application, frame: Any, own: Arguments) -> None:
    """Windows of what each partition has sold, and then their sums over the partitions. Behind a repartitioning, all partitions share one
    time, and what is read later than others is late; in two stages, each has its own."""
    parse = Event.FromString

    def lines(value: bytes) -> list[dict[str, Any]]:
        partition = message_context().partition
        return [
            {"group": f"{partition}|{category}|{currency}", "quantity": quantity, "amount_minor": amount}
            for category, currency, quantity, amount in sold(parse(value))
        ]

    windows = (
        frame.apply(lines, expand=True)
        .group_by("group")
        .hopping_window(duration_ms=own.window_ms, step_ms=own.slide_ms, grace_ms=own.bound_ms)
        .agg(quantity=Sum("quantity"), amount_minor=Sum("amount_minor"))
        .final(closing_strategy="key")
    )
    partials = app.topic(
        f"{own.group}-partials", value_serializer="json", value_deserializer="json", key_serializer="str", key_deserializer="str",
        config=TopicConfig(num_partitions=own.partitions, replication_factor=1),
    )  # fmt: skip
    windows.apply(_partial, metadata=True).to_topic(partials, key=lambda row: row["group"])

    def whole(row: dict[str, Any], state: State) -> list[dict[str, Any]]:
        pending = state.get("pending", {})
        sums = [row["quantity"], row["amount_minor"]]
        done = add_partial(pending, row["partition"], row["start"], sums, own.partitions)
        state.set("pending", pending)
        category, currency = row["group"].split("|")
        return [
            {"category": category, "currency": currency, "window_start": start, "window_end": start + own.window_ms,
             "quantity": quantity, "amount_minor": amount_minor}
            for start, (quantity, amount_minor) in done
        ]  # fmt: skip

    rows = app.dataframe(partials).apply(whole, stateful=True, expand=True)
    rows.to_topic(app.topic(own.prefix + SALES, value_serializer="json", key_serializer="str"))


def _partial(window: dict[str, Any], key: Any, timestamp: int, headers: Any) -> dict[str, Any]:
    partition, _, group = (key.decode() if isinstance(key, bytes) else key).partition("|")
    return {
        "group": group, "partition": int(partition), "start": window["start"], "quantity": window["quantity"],
        "amount_minor": window["amount_minor"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
