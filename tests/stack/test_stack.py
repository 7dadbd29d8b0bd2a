"""What the local stack writes down, and reads back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import yaml

from jobs.settings import Topics
from scripts.stack import Stack, StackError, jars
from scripts.stack.processes import Running


def me() -> Running:
    return Running("me", os.getpid(), psutil.Process().create_time(), "me.log")


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert Stack.load(tmp_path) is None


def test_a_saved_stack_is_found_again(tmp_path: Path) -> None:
    ended = Running("ended", os.getpid(), 1.0, "ended.log")
    stack = Stack(tmp_path, parallelism=3, kafka_port=1234, ui_port=5678, processes=[me(), ended])
    stack.save()
    found = Stack.load(tmp_path)
    assert found is not None
    assert (found.bootstrap, found.rest_url, found.parallelism) == ("127.0.0.1:1234", "http://127.0.0.1:5678", 3)
    assert found.processes == [me()], "what has ended is left out"


def test_flink_configuration(tmp_path: Path) -> None:
    stack = Stack(tmp_path, parallelism=2, python_mode="process", ui_port=5678, flink_options={"taskmanager.numberOfTaskSlots": "4"})
    options = stack.flink_configuration()
    assert options["rest.port"] == 5678
    assert options["python.execution-mode"] == "process"
    assert options["parallelism.default"] == 2
    assert options["execution.checkpointing.dir"] == (tmp_path / "checkpoints").as_uri()
    assert options["taskmanager.numberOfTaskSlots"] == "4", "the caller's options come last"
    addresses = {name: value for name, value in options.items() if name.endswith(("address", "host"))}
    assert set(addresses.values()) == {"127.0.0.1"}, "nothing listens to other machines"
    assert yaml.safe_load(yaml.safe_dump(options)) == options


def test_a_short_lived_stack_has_first_compilers_only(tmp_path: Path) -> None:
    assert "env.java.opts.taskmanager" not in Stack(tmp_path, ui_port=5678).flink_configuration()
    options = Stack(tmp_path, ui_port=5678, short_lived=True).flink_configuration()
    assert options["env.java.opts.taskmanager"] == "-XX:TieredStopAtLevel=1"


class Recorded(Stack):
    """Writes down what it would do."""

    def __init__(self, workdir: Path, fails: str = "") -> None:
        super().__init__(workdir)
        self.did: list[str] = []
        self.fails = fails
        self.planned = threading.Event()

    def _do(self, what: str) -> None:
        self.did.append(what)
        if what == self.fails:
            raise StackError(what)

    def _start_kafka(self) -> None:
        self._do("start Kafka")

    def _start_flink(self) -> None:
        self._do("start Flink")

    def _wait_for_kafka(self) -> None:
        self._do("Kafka answers")

    def create_topics(self, names: Topics | None = None, partitions: int = 4) -> None:
        self._do("topics")
        self.planned.set()

    def submit(self, *arguments: str, savepoint: str | None = None) -> str:
        assert self.fails or self.planned.wait(30), "the topics are made while the job is planned"
        self._do(" ".join(("submitted", *arguments)))
        return "job"

    def down(self) -> None:
        self.did.append("down")


def test_a_job_is_planned_while_all_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "ensure", lambda: None)
    stack = Recorded(tmp_path)
    assert stack.up_with_job("--no-fraud", meanwhile=lambda: stack.did.append("meanwhile")) == "job"
    assert sorted(stack.did) == sorted(["start Kafka", "start Flink", "Kafka answers", "topics", "meanwhile", "submitted --no-fraud"])


@pytest.mark.parametrize("fails", ["start Flink", "Kafka answers", "topics", "submitted"])
def test_what_does_not_start_leaves_nothing_running(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "ensure", lambda: None)
    stack = Recorded(tmp_path, fails)
    with pytest.raises(StackError, match=fails):
        stack.up_with_job()
    assert stack.did[-1] == "down"


def test_short_memory_ends_the_start_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "ensure", lambda: None)
    stack = Stack(tmp_path / "run", parallelism=10_000)
    with pytest.raises(StackError, match="MB are needed"):
        stack.up()
    assert not (tmp_path / "run").exists()


def test_down_without_a_stack(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from scripts.stack import down; down.WORKDIR = Path({str(tmp_path)!r}); down.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Nothing of this project is running.\n"


def test_standbys_have_interfaces_of_their_own_and_the_living_are_asked(tmp_path: Path) -> None:
    standby = Running("jobmanager-2", os.getpid(), psutil.Process().create_time(), str(tmp_path / "2.log"))
    first = Running("jobmanager", os.getpid(), psutil.Process().create_time(), str(tmp_path / "1.log"))
    stack = Stack(tmp_path, standbys=1, ui_port=5678, ui_ports=(5678, 5679), processes=[first, standby])
    assert stack.rest_url == "http://127.0.0.1:5678"
    assert stack.cluster.urls == ("http://127.0.0.1:5678", "http://127.0.0.1:5679")
    stack.save()
    found = Stack.load(tmp_path)
    assert found is not None
    assert found.cluster.urls == stack.cluster.urls
    stack.processes.remove(first)
    assert stack.rest_url == "http://127.0.0.1:5679"


def test_the_leader_is_who_was_granted_it_last(tmp_path: Path) -> None:
    started = psutil.Process().create_time()
    processes = [Running(name, os.getpid(), started, str(tmp_path / name)) for name in ("jobmanager", "jobmanager-2")]
    (tmp_path / "jobmanager").write_text("2026-11-24 10:00:00,000 x was granted leadership\n2026-11-24 10:00:09,000 started again\n")
    (tmp_path / "jobmanager-2").write_text("2026-11-24 10:00:05,000 x was granted leadership\n")
    stack = Stack(tmp_path, standbys=1, processes=processes)
    assert stack.leader() == "jobmanager-2"
    del stack.processes[1]
    assert stack.leader() == "jobmanager"
    (tmp_path / "jobmanager").write_text("nothing")
    assert stack.leader() is None


def test_only_standbys_make_the_cluster_highly_available(tmp_path: Path) -> None:
    kind = "high-availability.type"
    assert kind not in Stack(tmp_path, ui_port=5678).flink_configuration()
    options = Stack(tmp_path, ui_port=5678, standbys=1, zookeeper_port=2181).flink_configuration()
    assert options[kind] == "zookeeper"
    assert options["high-availability.zookeeper.quorum"] == "127.0.0.1:2181"
    assert options["high-availability.storageDir"] == (tmp_path / "high-availability").as_uri()
