"""The threads that read Kafka and ask Flink."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from scripts.dashboard_app.flink import FlinkWatch
from scripts.dashboard_app.shared import Shared, now
from scripts.dashboard_app.state import STARTS
from scripts.outputs.feed import KafkaFeed
from scripts.outputs.flink import NoAnswer
from udfs.kafka_client import Brokers

log = logging.getLogger(__name__)

_ASK_FLINK_S: Final = 2.0
_BEGIN_AGAIN_S: Final = 3.0


class Readers:
    """Read as long as the `with` block lasts, whatever becomes of Kafka and Flink meanwhile."""

    def __init__(self, shared: Shared, feed: Callable[[], KafkaFeed], flink: FlinkWatch) -> None:
        self._shared, self._feed, self._flink = shared, feed, flink
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._read_kafka, name="kafka", daemon=True),
            threading.Thread(target=self._ask_flink, name="flink", daemon=True),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _read_kafka(self) -> None:
        while not self._ended.is_set():
            try:
                self._feed().run(self._ended)
            except Exception:
                log.exception("reading Kafka has failed; it begins anew in %d s", _BEGIN_AGAIN_S)
                self._shared.forget()
                self._shared.offsets(None)
                self._ended.wait(_BEGIN_AGAIN_S)

    def _ask_flink(self) -> None:
        while not self._ended.is_set():
            try:
                self._shared.job(self._flink.ask(now().ms))
            except NoAnswer:
                self._shared.no_flink()
            self._ended.wait(_ASK_FLINK_S)


def kafka_feed(shared: Shared, bootstrap: Brokers | str, prefix: str, group_id: str) -> Callable[[], KafkaFeed]:
    """Makes readers of all topics that the dashboard shows."""
    return lambda: KafkaFeed(bootstrap, prefix, group_id, STARTS, shared.records, shared.offsets)
