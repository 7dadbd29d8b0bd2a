"""The keyed Python stages of the recommendations: thin adapters between Flink and udfs/recommendations/.

They see sums of whole windows and not events: one row for each product, category or session that was active in a window.
State is JSON text: of an array of bytes, thread mode in PyFlink 2.3 makes a tuple of numbers, and it fails where there is none yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pyflink.common import Row, Types
from pyflink.datastream import TimeDomain
from pyflink.datastream.functions import KeyedBroadcastProcessFunction, KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from udfs.recommendations import rows
from udfs.recommendations.answers import MOST_ASKED, next_items
from udfs.recommendations.neighbours import PUBLISHED, Neighbours, Scored
from udfs.recommendations.popularity import Popularity
from udfs.recommendations.trending import Trend

PRODUCT: Final = "product"
VISIT: Final = "visit"
"""Kinds of rows of the stage `recommend`, in and out."""
RECOMMENDED_TYPE: Final = Types.TUPLE([Types.STRING(), Types.STRING(), Types.STRING()])
"""Kind, key, JSON; FORGOTTEN instead of JSON deletes the key from the compacted topic."""
FORGOTTEN: Final = ""  # a tuple holds no None
TREND_TYPE: Final = Types.TUPLE([Types.STRING(), Types.STRING()])
"""Category, JSON."""
_POPULARITY: Final = "popularity"


@dataclass(frozen=True)
class RecommenderSettings:
    """Plain values, since they are pickled into the job; times in ms."""

    half_life_ms: int
    trending_half_life_ms: int
    memory_ms: int


def popularity_state() -> MapStateDescriptor:
    """Broadcast state: one entry, the packed Popularity."""
    return MapStateDescriptor(_POPULARITY, Types.STRING(), Types.STRING())


class Recommender(KeyedBroadcastProcessFunction[str, Row, Row, Any]):
    """Input, keyed by product: (kind, text, time_ms), where `time_ms` is the end of the window. Broadcast: (text, time_ms)
    of the most popular products. Output: RECOMMENDED_TYPE.

    A product is published when event time has passed the window's end, since then both inputs have told all of it: so what is
    published does not depend on which of them came first.
    """

    def __init__(self, settings: RecommenderSettings) -> None:
        self._settings = settings

    def open(self, runtime_context: RuntimeContext) -> None:
        self._half_life_ms = self._settings.half_life_ms
        self._memory_ms = self._settings.memory_ms
        # Descriptors that have touched Java do not pickle, so they are built here and not in __init__.
        self._popularity_state = popularity_state()
        self._product = runtime_context.get_state(ValueStateDescriptor("product", Types.STRING()))
        self._next = runtime_context.get_state(ValueStateDescriptor("next", Types.STRING()))
        self._popularity: Popularity | None = None

    def process_broadcast_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.Context) -> Iterator[Any]:
        popularity = self._popular(ctx)
        popularity.add(rows.weights(value[0]), value[1])
        ctx.get_broadcast_state(self._popularity_state).put(_POPULARITY, popularity.packed())
        return iter(())

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Any]:
        kind, text, time_ms = value[0], value[1], value[2]
        if kind == VISIT:
            yield from self._answer(rows.visit(text), self._popular(ctx), time_ms)
            return
        packed = self._product.value()
        product = Neighbours.unpacked(packed) if packed else Neighbours.new()
        product.add(rows.product_window(text), time_ms, self._half_life_ms)
        timers = ctx.timer_service()
        timers.register_event_time_timer(time_ms)
        product.used_ms = _forget_later(timers, self._memory_ms)
        self._product.update(product.packed())

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Any]:
        packed = self._product.value()
        if not packed:
            return
        product = Neighbours.unpacked(packed)
        product_id: str = ctx.get_current_key()
        if ctx.time_domain() == TimeDomain.PROCESSING_TIME:
            if timestamp - product.used_ms >= self._memory_ms:
                self._product.clear()
                self._next.clear()
                yield PRODUCT, product_id, FORGOTTEN
            return
        if timestamp != product.as_of_ms:  # a later window has come already, and has a timer of its own
            return
        popularity = self._popular(ctx)
        popularity.move_to(timestamp)
        viewed, bought = product.lists(popularity, timestamp, self._half_life_ms, MOST_ASKED)
        self._next.update(orjson.dumps(viewed).decode())
        viewed, bought = viewed[:PUBLISHED], bought[:PUBLISHED]
        if not product.is_news(viewed, bought):
            return
        self._product.update(product.packed())
        yield PRODUCT, product_id, _json(
            product_id=product_id, category=product.category, time_ms=timestamp, also_viewed=_items(viewed), also_bought=_items(bought)
        )  # fmt: skip

    def _answer(self, visit: rows.Visit, popularity: Popularity, time_ms: int) -> Iterator[Any]:
        """From what was best when the product was published last: nothing is scored for a visit."""
        best = self._next.value()
        items = next_items(orjson.loads(best) if best else [], popularity.largest, visit.recent)
        if items:
            yield VISIT, visit.user_id or visit.session_id, _json(
                user_id=visit.user_id, session_id=visit.session_id, time_ms=time_ms, items=_items(items)
            )  # fmt: skip

    def _popular(self, ctx: Any) -> Popularity:
        """Broadcast state can't be read in open(), so it is on the first element; it is a way into Java, so not on each."""
        if self._popularity is None:
            packed = ctx.get_broadcast_state(self._popularity_state).get(_POPULARITY)
            self._popularity = Popularity.unpacked(packed, self._half_life_ms) if packed else Popularity(self._half_life_ms)
        return self._popularity


class TrendKeeper(KeyedProcessFunction):
    """Input, keyed by category: (text, time_ms). Output: TREND_TYPE, where the list has changed."""

    def __init__(self, settings: RecommenderSettings) -> None:
        self._settings = settings

    def open(self, runtime_context: RuntimeContext) -> None:
        self._half_life_ms = self._settings.trending_half_life_ms
        self._memory_ms = self._settings.memory_ms
        self._trend = runtime_context.get_state(ValueStateDescriptor("trend", Types.STRING()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        text, time_ms = value[0], value[1]
        packed = self._trend.value()
        trend = Trend.unpacked(packed) if packed else Trend.new()
        items = trend.add(rows.weights(text), time_ms, self._half_life_ms)
        trend.used_ms = _forget_later(ctx.timer_service(), self._memory_ms)
        self._trend.update(trend.packed())
        if items is not None:
            category = ctx.get_current_key()
            yield category, _json(category=category, time_ms=time_ms, items=_items(items))

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        packed = self._trend.value()
        if packed and timestamp - Trend.unpacked(packed).used_ms >= self._memory_ms:
            self._trend.clear()
            yield ctx.get_current_key(), FORGOTTEN


def _forget_later(timers: Any, memory_ms: int) -> int:
    """Sets the timer that looks whether a key has been silent; returns the time now. At most one for each key and memory.

    By the clock: at the end of a bounded input event time jumps to its end, and would delete all that was published.
    """
    now_ms: int = timers.current_processing_time()
    timers.register_processing_time_timer((now_ms // memory_ms + 2) * memory_ms)
    return now_ms


def _items(scored: Scored) -> list[dict[str, Any]]:
    return [{"product_id": product_id, "score": score} for product_id, score in scored]


def _json(**values: Any) -> str:
    return orjson.dumps(values).decode()
