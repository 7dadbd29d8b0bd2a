"""What each program that is not the job does in Kafka, as ACLs are granted by it (docs/security.md); and the options that all have."""

from __future__ import annotations

import argparse

from jobs.access import Needs, require
from jobs.settings import Topics
from udfs.kafka_client import Brokers


def generator(topics: Topics) -> Needs:
    """scripts/generate."""
    return Needs(write=(topics.events,))


def checker(topics: Topics) -> Needs:
    """scripts/verify."""
    outputs = (topics.late, topics.dead_letters, *topics.routed().values(), *topics.insights())
    return Needs(read=(topics.events, *outputs), groups=("millrace-checker",))


def rules_reader(topics: Topics) -> Needs:
    """scripts/millrace rules list, history, diff, export."""
    return Needs(read=(topics.rules, topics.rule_audit, topics.rule_status), groups=("millrace-control",))


def rules_author(topics: Topics) -> Needs:
    """scripts/millrace rules push, rollback, pause, resume, promote, delete."""
    more = rules_reader(topics)
    written = (topics.rules, topics.rule_audit)
    return Needs(read=more.read, write=written, groups=more.groups, transactions=(f"{topics.prefix}millrace-rules-control",))


def rules_tester(topics: Topics) -> Needs:
    """scripts/millrace rules explain, dry-run: they read raw events."""
    return Needs(read=(topics.rules, topics.events), groups=("millrace-control",))


def dashboard(topics: Topics, job_group: str = "millrace") -> Needs:
    """scripts/dashboard. Of events, it asks only how many there are."""
    outputs = (topics.late, topics.dead_letters, topics.rules, topics.rule_status, *topics.insights())
    return Needs(read=outputs, describe=(topics.events,), groups=("millrace-view",), lag_of=(job_group,))


def warehouse(topics: Topics, group_id: str = "millrace-warehouse") -> Needs:
    """scripts/warehouse."""
    return Needs(read=(topics.sales, topics.sales_per_minute, topics.funnel, topics.fraud_alerts), groups=(group_id,))


def status(topics: Topics) -> Needs:
    """scripts/millrace status."""
    read = (topics.late, topics.dead_letters, topics.rules)
    return Needs(read=read, describe=(topics.events,), groups=("millrace-view", "millrace-control"))


def replayer(topics: Topics) -> Needs:
    """scripts/millrace dlq and late."""
    return Needs(
        read=(topics.events, topics.late, topics.dead_letters, topics.rules, topics.replays),
        write=(topics.events, topics.replays, *topics.routed().values()),
        groups=("millrace-control",),
        transactions=(f"{topics.prefix}millrace-replay",),
    )


def nothing(_: Topics) -> Needs:
    """Programs that say themselves what they lack."""
    return Needs()


def add_kafka(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """--bootstrap and --kafka-config."""
    text = "Kafka brokers" + (f" (default: {default})" if default else "")
    parser.add_argument("--bootstrap", default=default, required=default is None, metavar="HOST:PORT", help=text)
    parser.add_argument("--kafka-config", default="", metavar="FILE", help="how to log in to Kafka (TLS, SASL): docs/security.md")


def brokers(options: argparse.Namespace, needs: Needs) -> Brokers:
    """What `add_kafka` got, after a check that Kafka grants what the program needs.

    Raises:
        AccessError
    """
    found = Brokers(options.bootstrap, options.kafka_config)
    require(found, needs)
    return found
