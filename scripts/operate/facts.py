"""Asks the machine, Kafka and Flink what `doctor` judges."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from scripts.control.output import CommandError
from scripts.operate.checks import Brokers, Cluster, Machine, Topic
from scripts.outputs.flink import FlinkRest, NoAnswer
from scripts.stack.paths import JAVA_HOME, ROOT
from udfs.kafka_client import Brokers as Where
from udfs.kafka_client import of

_TIMEOUT_MS: Final = 5_000
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")


def is_local(address: str) -> bool:
    """Whether host:port, or a URL, is on this machine."""
    return (urlsplit(address if "//" in address else f"//{address}").hostname or "") in _LOCAL


def machine(addresses: Mapping[str, str]) -> Machine:
    """`addresses`: what -> host:port or URL; those on this machine are tried."""
    ports = {}
    for what, address in addresses.items():
        port = urlsplit(address if "//" in address else f"//{address}").port
        if port and is_local(address):
            ports[what] = (port, _listens(port))
    return Machine(
        sys.version_info[:2], _java(), psutil.virtual_memory().available // 2**20, shutil.disk_usage(ROOT).free // 2**20, ports
    )  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _java() -> str | None:
    try:
        done = subprocess.run([str(JAVA_HOME / "bin" / "java"), "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    words = done.stderr.split('"')
    return words[1] if len(words) > 1 else None


def brokers(bootstrap: Where | str) -> Brokers:
    """Raises CommandError if no broker answers; what a broker does not tell is left out, and said in `lacking`."""
    try:
        admin = KafkaAdminClient(**of(bootstrap).kafka_python(), request_timeout_ms=_TIMEOUT_MS, bootstrap_timeout_ms=_TIMEOUT_MS)
    except (KafkaError, OSError) as error:
        raise CommandError(f"Kafka at {bootstrap} does not answer: {error}") from error
    try:
        nodes = admin.describe_cluster()["brokers"]
        lacking, features, configs = "", {}, {}
        described = {each["name"]: each for each in admin.describe_topics()}
        try:
            features = _features(admin.describe_features())
        except KafkaError as error:
            lacking = f"the brokers do not tell their features ({error})"
        resources = [ConfigResource(ConfigResourceType.BROKER, str(nodes[0]["broker_id"]))]
        resources += [ConfigResource(ConfigResourceType.TOPIC, name) for name in described]
        try:
            configs = _configs(admin.describe_configs(resources, config_filter="all"))
        except KafkaError as error:
            lacking = f"the brokers do not tell their configuration ({error})"
        own = next((found for (kind, _), found in configs.items() if kind == "broker"), {})
        found = {name: _topic(each, configs.get(("topic", name), {})) for name, each in described.items()}
        return Brokers(len(nodes), own, features, found, lacking)
    except (KafkaError, OSError) as error:
        raise CommandError(f"Kafka at {bootstrap}: {error}") from error
    finally:
        admin.close()


def flink(url: str) -> Cluster:
    """Raises CommandError."""
    rest = FlinkRest(url)
    try:
        overview, configuration = rest.get("/overview"), rest.get("/jobmanager/config")
        return Cluster(
            str(overview["flink-version"]), int(overview["taskmanagers"]), int(overview["slots-total"]), int(overview["slots-available"]),
            {each["key"]: each["value"] for each in configuration},
        )  # fmt: skip
    except (NoAnswer, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"Flink at {url} does not answer: {error}") from error


def _topic(described: Mapping[str, Any], configs: Mapping[str, str]) -> Topic:
    partitions = described["partitions"]
    return Topic(
        len(partitions), min(len(each["replica_nodes"]) for each in partitions), min(len(each["isr_nodes"]) for each in partitions), configs
    )


def _configs(answer: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[tuple[str, str], dict[str, str]]:
    """(kind, name) -> property -> value; those without a value are passwords."""
    return {
        (kind, name): {key: str(each["value"]) for key, each in properties.items() if each["value"] is not None}
        for kind, resources in answer.items()
        for name, properties in resources.items()
    }


def _features(answer: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(levels["finalized"][1]) for name, levels in answer.items() if "finalized" in levels}
