"""The settings of `scripts/warehouse`: typed and frozen; its command line is made from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jobs.settings import Topics
from udfs.kafka_client import Brokers, Login

_POSITIVE = ("batch_rows", "flush_ms", "max_backoff_ms")
_SECRETS = frozenset({"password", "sslpassword"})


@dataclass(frozen=True)
class WarehouseSettings:
    """What one warehouse process does. Times are in milliseconds."""

    bootstrap: str = field(default="localhost:9092", metadata={"help": "Kafka brokers, host:port[,host:port]"})
    topic_prefix: str = field(default="", metadata={"help": "put before every topic name, as for the job"})
    group_id: str = field(default="millrace-warehouse", metadata={"help": "consumer group, only to see the lag by: the offsets that count "
                                                                          "are in the database"})  # fmt: skip
    kafka_config: str = field(
        default="", metadata={"help": "file that says how to log in to Kafka (TLS, SASL): docs/security.md"}
    )
    database: str = field(
        default="",
        metadata={
            "help": "postgresql://USER@HOST:PORT/DATABASE, or 'host=… dbname=… user=…', as for psql; required. The password comes from "
            "PGPASSFILE, ~/.pgpass or PGPASSWORD"
        },
    )
    batch_rows: int = field(default=1_000, metadata={"help": "most records in one transaction"})
    flush_ms: int = field(default=500, metadata={"help": "longest wait for a batch to fill"})
    max_backoff_ms: int = field(default=10_000, metadata={"help": "longest wait before the next try while the database is away"})

    def __post_init__(self) -> None:
        for name in ("bootstrap", "group_id"):
            _require(bool(getattr(self, name).strip()), name, f"is {getattr(self, name)!r}, must not be empty")
        for name in _POSITIVE:
            _require(getattr(self, name) > 0, name, f"is {getattr(self, name)}, must be > 0")
        try:
            parameters = conninfo_to_dict(self.database)
        except psycopg.ProgrammingError:
            parameters = {}  # its message would show the text, and with it perhaps a password
        _require(bool(parameters), "database", "must be postgresql://USER@HOST:PORT/DATABASE, or 'host=… dbname=… user=…'")
        _require(
            not _SECRETS & parameters.keys(), "database",
            "must not hold a password: everybody on this host could read it. Put it into the file that PGPASSFILE names (or ~/.pgpass)",
        )  # fmt: skip
        if self.kafka_config:
            try:
                Login(self.kafka_config)
            except ValueError as error:
                raise ValueError(f"--kafka-config {error}") from error

    @property
    def topics(self) -> Topics:
        return Topics(self.topic_prefix)

    @property
    def conninfo(self) -> str:
        """What libpq connects with: a server that does not answer must not hold the process for ever."""
        limits = {"application_name": "millrace-warehouse", "connect_timeout": "10", "keepalives_idle": "10", "keepalives_interval": "5",
                  "keepalives_count": "3", "tcp_user_timeout": "30000"}  # fmt: skip
        given = {name: str(value) for name, value in conninfo_to_dict(self.database).items()}
        return make_conninfo("", **(limits | given))

    @property
    def brokers(self) -> Brokers:
        return Brokers(self.bootstrap, self.kafka_config)


def _require(condition: bool, name: str, fault: str) -> None:
    if not condition:
        raise ValueError(f"--{name.replace('_', '-')} {fault}")
