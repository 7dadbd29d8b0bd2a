"""What Kafka's nodes are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts.stack import Stack, StackError, kafka
from scripts.stack.kafka import Node


def properties(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    for node in nodes:
        node.folder.mkdir(parents=True)
        (node.folder / "meta.properties").touch()  # formatted before
    monkeypatch.setattr(kafka, "_java", lambda *_options: ["false"])
    kafka.configure(nodes)
    lines = [[line for line in node.properties.read_text().splitlines() if not line.startswith("#")] for node in nodes]
    return [dict(line.split("=", 1) for line in each) for each in lines]


FORMATTER = """
import pathlib, sys, uuid
properties = pathlib.Path(sys.argv[sys.argv.index("-c") + 1]).read_text()
folder = pathlib.Path(next(line for line in properties.splitlines() if line.startswith("log.dirs=")).partition("=")[2])
folder.mkdir(parents=True)
(folder / "meta.properties").write_text(str(uuid.uuid4()))
"""


def test_a_data_folder_is_formatted_once_and_copied_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "storage_tool.py"
    program.write_text(FORMATTER)
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(kafka, "KAFKA_LIB", tmp_path / "lib")
    monkeypatch.setattr(kafka, "_java", lambda *_options: [sys.executable, str(program)])
    first, second = nodes(2, tmp_path / "first"), nodes(2, tmp_path / "second")
    kafka.configure(first)
    monkeypatch.setattr(kafka, "_java", lambda *_options: ["false"])
    kafka.configure(second)
    identities = [[(node.folder / "meta.properties").read_text() for node in each] for each in (first, second)]
    assert identities[0] == identities[1]
    assert len(set(identities[0])) == 2, "each node has its own"
    kafka.configure(second)  # what is there is left as it is
    with pytest.raises(StackError, match="could not be formatted"):
        kafka.configure(nodes(3, tmp_path / "third"))


def nodes(count: int, folder: Path) -> list[Node]:
    return [Node(number, f"10.77.{number}.2", 9000 + number, 9100 + number, folder / f"kafka-{number}") for number in range(1, count + 1)]


def test_one_node_has_one_copy_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = properties(nodes(1, tmp_path), monkeypatch)
    copies = {name: value for name, value in told.items() if "replica" in name or name.endswith("min.isr")}
    assert set(copies.values()) == {"1"}
    assert told["controller.quorum.voters"] == "1@10.77.1.2:9101"


def test_three_nodes_keep_three_copies_and_acknowledge_with_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = properties(nodes(3, tmp_path), monkeypatch)
    for number, each in enumerate(told, 1):
        assert each["node.id"] == str(number)
        assert each["controller.quorum.voters"] == "1@10.77.1.2:9101,2@10.77.2.2:9102,3@10.77.3.2:9103"
        assert each["advertised.listeners"] == f"PLAINTEXT://10.77.{number}.2:{9000 + number}"
        assert (each["default.replication.factor"], each["min.insync.replicas"]) == ("3", "2")
        assert (each["transaction.state.log.replication.factor"], each["transaction.state.log.min.isr"]) == ("3", "2")
        assert each["offsets.topic.replication.factor"] == "3"
    assert len({each["log.dirs"] for each in told}) == 3


def test_a_stack_names_all_its_brokers(tmp_path: Path) -> None:
    stack = Stack(tmp_path, brokers=3, kafka_port=1, broker_ports=(1, 2, 3))
    assert stack.bootstrap == "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"
    assert [(node.node_id, node.address, node.folder.name) for node in stack.nodes()] == [
        (1, "127.0.0.1:1", "kafka-1"), (2, "127.0.0.1:2", "kafka-2"), (3, "127.0.0.1:3", "kafka-3"),
    ]  # fmt: skip
    assert stack.nodes() is stack.nodes(), "planned once: a broker that starts again has its ports and its data"
    apart = Stack(tmp_path, brokers=2, broker_ports=(1, 1), broker_hosts=("10.0.0.1", "10.0.0.2"))
    assert apart.bootstrap == "10.0.0.1:1,10.0.0.2:1"


@pytest.mark.parametrize(
    ("folders", "newest"),
    [((), None), (("chk-9", "chk-10", "chk-2"), "chk-10"), (("chk-1", "chk-2!", "chk-3-"), "chk-1")],
)
def test_newest_checkpoint(folders: tuple[str, ...], newest: str | None, tmp_path: Path) -> None:
    """"!": its metadata is not written yet; "-": its metadata file is still empty."""
    for name in folders:
        folder = tmp_path / "checkpoints" / "job" / name.rstrip("!-")
        folder.mkdir(parents=True)
        if not name.endswith("!"):
            (folder / "_metadata").write_bytes(b"" if name.endswith("-") else b"x")
    found = Stack(tmp_path).newest_checkpoint("job")
    assert (found and found.name) == newest
