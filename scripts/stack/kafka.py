"""The nodes of the local Kafka: what each is told in its configuration, and the command that runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from scripts.stack import class_data
from scripts.stack.errors import StackError
from scripts.stack.paths import CONF, FLINK_HOME, JAVA_HOME, KAFKA_LIB
from scripts.stack.secured import Security

_HEAP_MB = 512
_CLUSTER_ID = "bWlsbHJhY2UtbG9jYWwtMQ"
"""Of every local Kafka, so that a folder that was formatted once serves as the template of all."""


@dataclass(frozen=True)
class Node:
    """One node, broker and controller in one. `host` is the address that it listens on; the last two ports are a secured one's."""

    node_id: int
    host: str
    port: int
    controller_port: int
    folder: Path
    nodes_port: int = 0
    expired_port: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def properties(self) -> Path:
        """Its configuration file."""
        return self.folder.with_suffix(".properties")


def replication(nodes: int) -> int:
    """Copies of each partition."""
    return min(3, nodes)


def configure(nodes: Sequence[Node], security: Security | None = None) -> None:
    """Writes the configuration of each node and formats its data folder, unless that was done before.

    Raises:
        StackError: a folder could not be formatted.
    """
    names = ("kafka.properties", *(("kafka-secured.properties",) if security else ()))
    template = Template("\n".join((CONF / name).read_text() for name in names))
    voters = ",".join(f"{node.node_id}@{node.host}:{node.controller_port}" for node in nodes)
    copies = replication(len(nodes))
    for node in nodes:
        node.properties.parent.mkdir(parents=True, exist_ok=True)
        text = template.substitute(
            node_id=node.node_id, voters=voters, host=node.host, port=node.port, controller_port=node.controller_port, data=node.folder,
            replication=copies, min_insync=max(1, copies - 1), nodes_port=node.nodes_port, expired_port=node.expired_port,
            **(security.substitutes() if security else {}),
        )  # fmt: skip
        node.properties.write_text(text)
    for node in nodes:
        if not (node.folder / "meta.properties").is_file():
            _format(node, security)


def _format(node: Node, security: Security | None) -> None:
    """Formats a data folder; without users, as a copy of the first one that was: that spares a JVM's start."""
    template = KAFKA_LIB / f"formatted-{node.node_id}"
    if not security and template.is_dir():
        shutil.copytree(template, node.folder, dirs_exist_ok=True)
        return
    java = _java(*class_data.known("kafka"))
    command = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={_CLUSTER_ID}", "-c", str(node.properties),
               *(security.format_options() if security else ())]  # fmt: skip
    formatted = subprocess.run(command, capture_output=True, text=True, check=False)
    if formatted.returncode != 0:
        reason = (formatted.stdout + formatted.stderr).strip()[-300:]
        raise StackError(f"Kafka's data folder {node.folder} could not be formatted: {reason}")
    if not security:
        part = template.with_suffix(f".{os.getpid()}")
        shutil.copytree(node.folder, part)
        try:
            part.rename(template)
        except OSError:  # another stack was first
            shutil.rmtree(part)


def command(node: Node, jvm_options: Sequence[str] = ()) -> list[str]:
    """Runs the node in the foreground."""
    return [*_java(*jvm_options), "kafka.Kafka", str(node.properties)]


def _java(*options: str) -> list[str]:
    # Kafka's own jars bring no binding of SLF4J: Flink's Log4j does its logging.
    classpath = ":".join([*map(str, sorted((FLINK_HOME / "lib").glob("log4j-*.jar"))), f"{KAFKA_LIB}/*"])
    logging = f"-Dlog4j2.configurationFile={CONF / 'kafka-log4j2.properties'}"
    return [str(JAVA_HOME / "bin" / "java"), f"-Xmx{_HEAP_MB}m", *options, logging, "-cp", classpath]
