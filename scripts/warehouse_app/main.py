"""`scripts/warehouse`: copies the results from Kafka into PostgreSQL until it is ended (Ctrl-C or SIGTERM).

A process of its own, so that a database that is slow or away never holds back the job. The offsets of the records that it has
read are in the database, written in one transaction with their rows: each record takes effect once, whatever is killed. Several
processes may run: one works, the others wait to take over.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence

import psycopg
from confluent_kafka import KafkaException

from jobs import command_line
from jobs.access import AccessError, NoAnswerError, require
from scripts import access
from scripts.warehouse_app.database import Database
from scripts.warehouse_app.records import Records
from scripts.warehouse_app.settings import WarehouseSettings
from scripts.warehouse_app.tables import tables

log = logging.getLogger("warehouse")

_LOCK_POLL_S = 1.0
_FIRST_BACKOFF_S = 0.25


def parse(arguments: Sequence[str]) -> WarehouseSettings:
    """Command line -> settings. Exits with status 2 and one line that names the option if a value is not allowed."""
    description = "Copies sales, funnel and fraud alerts from Kafka into PostgreSQL (docs/operations.md)."
    return command_line.parse(WarehouseSettings, arguments, prog="scripts/warehouse", description=description)


class Backoff:
    """Waits that double from try to try."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._next_s = self._first_s

    def next_s(self) -> float:
        """The next wait."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s

    def reset(self) -> None:
        """Something has succeeded."""
        self._next_s = self._first_s


def run(settings: WarehouseSettings, stop: threading.Event) -> None:
    """Works until `stop` is set. What fails is tried again, for ever: with time, or with an operator's help, all of it passes."""
    backoff = Backoff(_FIRST_BACKOFF_S, settings.max_backoff_ms / 1000)
    while not stop.is_set():
        try:
            _copy(settings, stop, backoff)
        except (psycopg.Error, KafkaException) as error:
            wait_s = backoff.next_s()
            log.warning("%s; next try in %.1f s", " ".join(str(error).split()), wait_s)
            stop.wait(wait_s)


def _copy(settings: WarehouseSettings, stop: threading.Event, backoff: Backoff) -> None:
    all_tables = tables(settings.topics)
    properties = settings.brokers.librdkafka() | {"group.id": settings.group_id}
    with Database(settings.conninfo, all_tables) as database:
        if not _lock(database, stop):
            return
        offsets = database.offsets()
        log.info("connected; reading on from %d known partitions", len(offsets))
        with Records(properties, [table.topic for table in all_tables], offsets) as records:
            while not stop.is_set():
                batch = records.batch(settings.batch_rows, settings.flush_ms / 1000)
                if batch:
                    database.write(batch)
                    records.commit(batch)
                    backoff.reset()


def _lock(database: Database, stop: threading.Event) -> bool:
    """Waits until no other process writes; False if told to stop meanwhile."""
    if database.try_lock():
        return True
    log.info("another process writes into this database; waiting to take over")
    while not stop.wait(_LOCK_POLL_S):
        if database.try_lock():
            return True
    return False


def main() -> None:
    settings = parse(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        require(settings.brokers, access.warehouse(settings.topics, settings.group_id))
    except NoAnswerError as error:
        log.warning("%s; waiting for it", error)
    except AccessError as error:
        sys.exit(f"warehouse: {error}")
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    run(settings, stop)


if __name__ == "__main__":
    main()
