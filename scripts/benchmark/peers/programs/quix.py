"""Quix Streams: a StreamingDataFrame for each task, as in its documentation; bytes in and out."""

from __future__ import annotations

from typing import Any

from common import READ_AHEAD_KB, SALES, Arguments, arguments, destinations, ordered, producer_options, sold
from quixstreams import Application
from quixstreams.dataframe.windows.aggregations import Collect, Sum
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
    """Tumbling windows of the bound's length per session, closed by the time of the partition: inside of each, sorted."""
    targets = _targets(app, own)
    parse = Event.FromString
    frame = frame.apply(lambda value: [(each, value) for each in destinations(parse(value))], expand=True)
    _send(frame.filter(lambda pair: not ordered(pair[0])), targets)
    windows = (
        frame.filter(lambda pair: ordered(pair[0]))
        .apply(lambda pair: [pair[0], parse(pair[1]).event_time_ms, pair[1].hex()])  # its state is JSON
        .tumbling_window(duration_ms=own.bound_ms, grace_ms=own.bound_ms)
        .agg(events=Collect())
        .final(closing_strategy="partition")
    )
    in_order = windows.apply(
        lambda window: [(each[0], bytes.fromhex(each[2])) for each in sorted(window["events"], key=lambda each: each[1])], expand=True
    )
    _send(in_order, targets)


def _sales(app: Application, frame: Any, own: Arguments) -> None:
    parse = Event.FromString
    frame = frame.apply(lambda value: sold(parse(value)), expand=True).apply(
        lambda line: {"group": f"{line[0]}|{line[1]}", "quantity": line[2], "amount_minor": line[3]}
    )
    windows = (
        frame.group_by("group")
        .hopping_window(duration_ms=own.window_ms, step_ms=own.slide_ms, grace_ms=own.window_ms)
        .agg(quantity=Sum("quantity"), amount_minor=Sum("amount_minor"))
        .final(closing_strategy="partition")
    )
    rows = windows.apply(_row, metadata=True)
    rows.to_topic(app.topic(own.prefix + SALES, value_serializer="json", key_serializer="str"))


def _row(window: dict[str, Any], key: Any, timestamp: int, headers: Any) -> dict[str, Any]:
    category, currency = (key.decode() if isinstance(key, bytes) else key).split("|")
    return {
        "category": category, "currency": currency, "window_start": window["start"], "window_end": window["end"],
        "quantity": window["quantity"], "amount_minor": window["amount_minor"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
