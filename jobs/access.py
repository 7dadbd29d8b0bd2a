"""What the job may do in Kafka, and a check that says what is missing in one line, before the job is submitted.

Without it, a wrong password or a missing ACL is an exception in the log of a TaskManager, again at every restart.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    TransactionalIdNotFoundError,
    UnknownTopicOrPartitionError,
)
from kafka.errors import KafkaError as PythonKafkaError

from jobs.settings import Guarantee, Settings
from udfs.kafka_client import Brokers, Login
from udfs.rules.destinations import is_pattern

WAIT_S: Final = 20.0
"""How long Kafka may take to answer, all brokers together. So long a start waits for a broker that is just coming up."""
_PROBE_S: Final = 5.0
_NO_SUCH_TOPIC: Final = UnknownTopicOrPartitionError.errno


@dataclass(frozen=True)
class Needs:
    """What a program does in Kafka. Every topic that is read or written is described too, which either right includes.

    Attributes:
        read: topics.
        write: topics.
        describe: topics whose offsets are asked for, and nothing else.
        groups: consumer groups whose offsets are committed, or that a client is in.
        lag_of: consumer groups whose offsets are only looked at.
        transactions: what the transactional ids begin with.
        make: what the names of topics begin with that are made (and written to) on demand.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    describe: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lag_of: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    make: tuple[str, ...] = ()


class AccessError(Exception):
    """One line: what Kafka refuses to whom, and what would allow it."""


class NoAnswerError(AccessError):
    """Nobody answers: nothing is known about rights."""


def of_job(settings: Settings) -> Needs:
    """What a job of these settings does."""
    topics = settings.topics
    heartbeat = (topics.heartbeat,) if settings.heartbeat else ()
    outputs = (*topics.routed().values(), topics.late, topics.dead_letters, topics.rule_status)
    return Needs(
        read=(topics.events, topics.rules, *heartbeat),
        write=(*outputs, *settings.insight_topics, *heartbeat),
        groups=(settings.group_id, f"{settings.group_id}-rules"),
        transactions=(f"{settings.topic_prefix}{settings.group_id}-",) if settings.guarantee is Guarantee.EXACTLY_ONCE else (),
        make=tuple(topics.prefix + name.split("*")[0] for name in topics.destinations if is_pattern(name)),
    )


def require(brokers: Brokers, needs: Needs, wait_s: float = WAIT_S) -> None:
    """Returns if Kafka lets us in and grants `needs`. Asks once for each thing, and retries only who does not answer.

    Without a login's file nothing is asked: such a Kafka lets everybody in.

    Raises:
        AccessError: all that is wrong, in one line: the login's file, a certificate, the password, topics, rights.
        NoAnswerError: no broker answers within `wait_s`.
    """
    if not brokers.config:
        return
    try:
        login = Login(brokers.config)
        deadline_s = time.monotonic() + wait_s
        if login["security.protocol"].endswith("SSL"):
            _require_tls(brokers, login, deadline_s)
        _require_login(brokers, login, deadline_s)
        with KafkaAdminClient(**brokers.kafka_python(), bootstrap_timeout_ms=int(wait_s * 1000)) as admin:
            asks = (_topics_refused, _groups_refused, _transactions_refused)
            missing = [each for ask in asks for each in _answered(partial(ask, admin, needs), deadline_s)]
    except ValueError as error:
        raise AccessError(f"--kafka-config {error}") from error
    except PythonKafkaError as error:
        raise NoAnswerError(f"Kafka at {brokers}: {type(error).__name__}: {error}") from error
    if missing:
        who = f"user {login.value('sasl.username')!r}" if "sasl.username" in login else "this client"
        raise AccessError(f"Kafka at {brokers} does not grant {who}: {'; '.join(missing)}. See docs/security.md#acls")


def _answered(ask: Callable[[], Iterable[str]], deadline_s: float) -> list[str]:
    """Asks until the coordinators are there: a new Kafka has none in its first seconds."""
    while True:
        try:
            return list(ask())
        except PythonKafkaError as error:
            if not error.retriable or time.monotonic() > deadline_s:
                raise
            time.sleep(0.5)


def _require_tls(brokers: Brokers, login: Login, deadline_s: float) -> None:
    """A handshake of our own, since Kafka's clients say that a certificate is refused, and not why."""
    pem = "ssl.truststore.location"
    try:
        context = ssl.create_default_context(cafile=login.get(pem))
        context.check_hostname = bool(login.get("ssl.endpoint.identification.algorithm", "https"))
        pem = "ssl.keystore.location"
        if pem in login:
            context.load_cert_chain(login[pem], password=login.value("ssl.key.password") if "ssl.key.password" in login else None)
    except ssl.SSLError as error:
        raise AccessError(f"{login.path}: {pem}: {error.reason or error}") from error
    last = ""
    while True:
        for address in brokers.bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            name = host.strip("[]")
            if not (name and port.isdigit()):
                raise AccessError(f"--bootstrap names {address!r}, which is not host:port")
            try:
                with socket.create_connection((name, int(port)), _PROBE_S) as raw, context.wrap_socket(raw, server_hostname=name):
                    return
            except ssl.SSLCertVerificationError as error:
                raise AccessError(f"Kafka at {address}: its certificate is refused: {error.verify_message}") from error
            except ssl.SSLEOFError as error:  # a broker that goes down, or one without TLS
                last = f"{address}: {error.reason}"
            except ssl.SSLError as error:
                raise AccessError(f"Kafka at {address}: no TLS there, or not ours: {error.reason or error}") from error
            except OSError as error:
                last = f"{address}: {error}"
        if time.monotonic() > deadline_s:
            raise NoAnswerError(f"Kafka does not answer at {last}")
        time.sleep(0.5)


def _require_login(brokers: Brokers, login: Login, deadline_s: float) -> None:
    found: list[KafkaError] = []
    # A producer, since a consumer looks for its group, which it may lack the right to. What is refused it would try again, for ever.
    options = brokers.librdkafka() | {"log_level": 0, "reconnect.backoff.ms": 500}
    try:
        client = Producer(options | {"error_cb": found.append})
    except KafkaException as error:
        raise AccessError(f"{login.path}: {error.args[0].str()}") from error
    while True:
        try:
            client.list_topics(timeout=0.5)
            return
        except KafkaException as error:
            last = error.args[0]
        client.poll(0)
        for fault in found:
            if fault.code() == KafkaError._AUTHENTICATION:
                reason = fault.str().split("SASL authentication error: ")[-1]
                user = login.value("sasl.username")
                raise AccessError(f"Kafka at {brokers} refuses user {user!r}: is the password right? ({reason})")
            if fault.code() == KafkaError._SSL:
                raise AccessError(f"Kafka at {brokers}: {fault.str()}")
        if time.monotonic() > deadline_s:
            raise NoAnswerError(f"Kafka at {brokers} does not answer: {(found or [last])[-1].str()}")


def _topics_refused(admin: KafkaAdminClient, needs: Needs) -> Iterable[str]:
    wanted = {"READ": needs.read, "WRITE": needs.write, "DESCRIBE": needs.describe}
    names = sorted({name for topics in wanted.values() for name in topics})
    found = {topic["name"]: topic for topic in admin.describe_topics(names)} if names else {}
    for operation, topics in wanted.items():
        lacking = [name for name in topics if operation not in (found[name]["authorized_operations"] or ())]
        if lacking:
            # To who has no right at all, Kafka does not say whether there is such a topic.
            named = (f"{name} (no such topic)" if found[name]["error_code"] == _NO_SUCH_TOPIC else name for name in lacking)
            yield f"{operation} on {', '.join(named)}"


def _groups_refused(admin: KafkaAdminClient, needs: Needs) -> Iterable[str]:
    for operation, groups in (("READ", needs.groups), ("DESCRIBE", needs.lag_of)):
        for group in groups:
            try:  # one by one: of several, the first refusal would hide the others
                admin.describe_groups([group])
            except GroupAuthorizationFailedError:
                yield f"{operation} on group {group}"


def _transactions_refused(admin: KafkaAdminClient, needs: Needs) -> Iterable[str]:
    for prefix in needs.transactions:
        try:
            admin.describe_transactions([prefix + "check"])
        except TransactionalIdAuthorizationFailedError:
            yield f"WRITE on transactional ids that begin with {prefix}"
        except TransactionalIdNotFoundError:
            continue  # it was looked for, so it may be described, and nobody has used it
