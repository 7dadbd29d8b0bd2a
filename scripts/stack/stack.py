"""Kafka (KRaft, one broker or three) and one Flink cluster (JobManager, TaskManagers of one slot each) on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import yaml

from jobs.settings import Topics
from scripts.stack import jars, kafka, logs, topics
from scripts.stack.errors import StackError
from scripts.stack.paths import CONF, FLINK_HOME, JAVA_HOME, PYTHON, ROOT, SITE_PACKAGES
from scripts.stack.processes import Running, alive, free_port, kill, require_free, require_memory, start, stop, wait_until

_ENDED = {"CANCELED", "FINISHED", "FAILED"}
_KAFKA_MB, _JOB_MANAGER_MB, _TASK_MANAGER_MB = 800, 1000, 2600


@dataclass
class Stack:
    """Starts on `with` (or `up`), stops on exit (or `down`). Ends only what it started itself.

    Attributes:
        workdir: logs, configuration, process ids, Kafka's data and Flink's checkpoints.
        parallelism: number of TaskManagers, each of one slot (thread mode has one interpreter per TaskManager).
        python_mode: "thread" or "process", the cluster's default.
        flink_options: Flink configuration over flink-conf/config.yaml.
        kafka_port, ui_port: 0 takes any free port.
        attached: the kernel ends all processes when this one dies.
        brokers: Kafka's nodes; three have replication 3 and min.insync.replicas 2.
        broker_hosts: the address of each broker; none: the loopback interface.
        broker_prefix: words put before each broker's command, such as those that run it in another network namespace.
        json_logs: Flink logs JSON, one object a line.
        metrics_ports: name of each process of Flink -> the port where Prometheus finds its metrics.
    """

    workdir: Path
    parallelism: int = 1
    python_mode: str = "thread"
    flink_options: dict[str, str] = field(default_factory=dict)
    kafka_port: int = 0
    ui_port: int = 0
    attached: bool = True
    brokers: int = 1
    broker_hosts: tuple[str, ...] = ()
    broker_prefix: tuple[tuple[str, ...], ...] = ()
    broker_ports: tuple[int, ...] = ()
    processes: list[Running] = field(default_factory=list)
    metrics_ports: dict[str, int] = field(default_factory=dict)
    json_logs: bool = False
    _nodes: list[kafka.Node] = field(default_factory=list, repr=False)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{host}:{port}" for host, port in zip(self._hosts, self.broker_ports or (self.kafka_port,), strict=True))

    @property
    def _hosts(self) -> tuple[str, ...]:
        return self.broker_hosts or ("127.0.0.1",) * self.brokers

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.ui_port}"

    def up(self) -> None:
        """Starts Kafka and Flink and waits until both answer. Raises StackError, and leaves nothing running then."""
        jars.ensure()
        require_memory(_KAFKA_MB * self.brokers + _JOB_MANAGER_MB + _TASK_MANAGER_MB * self.parallelism)
        self.ui_port = require_free(self.ui_port, "Flink web UI", "--port-ui")
        try:
            self.up_kafka()
            self._start_flink()
        except BaseException:
            self.down()
            raise

    def up_kafka(self) -> None:
        """Starts Kafka alone, on the data that it left if it ran before, and waits until it answers. Raises StackError."""
        self.kafka_port = require_free(self.kafka_port, "Kafka", "--port-kafka")
        self.broker_ports = self.broker_ports or (self.kafka_port, *(free_port() for _ in range(self.brokers - 1)))
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._start_kafka()

    def down(self) -> None:
        """Stops all that was started."""
        stop(list(reversed(self.processes)))
        self.processes.clear()
        (self.workdir / "stack.json").unlink(missing_ok=True)

    # -- on disk, so that scripts/down finds what scripts/up started -----------------------------------------------------

    def save(self) -> None:
        """Writes down what runs."""
        known = {"kafka_port": self.kafka_port, "ui_port": self.ui_port, "parallelism": self.parallelism, "brokers": self.brokers,
                 "broker_ports": self.broker_ports, "broker_hosts": self.broker_hosts, "metrics_ports": self.metrics_ports,
                 "processes": [asdict(each) for each in self.processes]}  # fmt: skip
        (self.workdir / "stack.json").write_text(json.dumps(known, indent=1))

    @classmethod
    def load(cls, workdir: Path) -> Stack | None:
        """The stack that an earlier program left running in `workdir`, or None."""
        path = workdir / "stack.json"
        if not path.is_file():
            return None
        known = json.loads(path.read_text())
        processes = [Running(**each) for each in known.pop("processes")]
        known |= {name: tuple(known[name]) for name in ("broker_ports", "broker_hosts")}
        return cls(workdir, **known, processes=[each for each in processes if alive(each)])

    # -- Kafka --------------------------------------------------------------------------------------------------------------

    def _start_kafka(self) -> None:
        kafka.configure(self.nodes())
        started = [self.start_broker(node.node_id) for node in self.nodes()]
        wait_until(lambda: topics.answers(self.bootstrap, self.brokers), started, "Kafka", 90)

    def nodes(self) -> list[kafka.Node]:
        """Kafka's nodes, as they were planned."""
        if not self._nodes:
            for index, (host, port) in enumerate(zip(self._hosts, self.broker_ports, strict=True)):
                folder = self.workdir / self.broker_name(index + 1)
                self._nodes.append(kafka.Node(index + 1, host, port, free_port(), folder))
        return self._nodes

    def broker_name(self, node_id: int) -> str:
        """The name of a broker's process."""
        return "kafka" if self.brokers == 1 else f"kafka-{node_id}"

    def start_broker(self, node_id: int) -> Running:
        """Starts a broker, with the data that it has."""
        prefix = self.broker_prefix[node_id - 1] if self.broker_prefix else ()
        return self._start(self.broker_name(node_id), [*prefix, *kafka.command(self.nodes()[node_id - 1])], dict(os.environ))

    def create_topics(self, names: Topics | None = None, partitions: int = 4) -> None:
        """Makes the job's topics."""
        topics.create(self.bootstrap, names or Topics(), partitions, kafka.replication(self.brokers))

    # -- Flink --------------------------------------------------------------------------------------------------------------

    def _start_flink(self) -> None:
        self._write_flink_conf()
        self.start_job_manager()
        for index in range(self.parallelism):
            self.start_task_manager(f"taskmanager-{index + 1}")
        wait_until(self._all_slots, self.processes, "Flink", 90)

    def start_job_manager(self) -> Running:
        """Starts the JobManager. It knows no job: without high availability, `submit` one with its newest checkpoint."""
        return self._start_reporting("jobmanager", "jobmanager.sh")

    def start_task_manager(self, name: str) -> Running:
        """Starts one more TaskManager."""
        return self._start_reporting(name, "taskmanager.sh")

    def _start_reporting(self, name: str, script: str, *options: str) -> Running:
        """Starts a process of Flink, and tells Prometheus where its metrics are."""
        self.metrics_ports[name] = free_port()
        own = ("-D", f"metrics.reporter.prom.port={self.metrics_ports[name]}", *options)
        running = self._start(name, [str(FLINK_HOME / "bin" / script), "start-foreground", *own], self._environment())
        targets = [f"127.0.0.1:{port}" for port in self.metrics_ports.values()]
        self.prometheus_targets.write_text(json.dumps([{"targets": targets, "labels": {"cluster": "local"}}]))
        return running

    @property
    def prometheus_targets(self) -> Path:
        """Where Flink's processes can be scraped, for Prometheus' file_sd_configs."""
        return self.workdir / "prometheus-targets.json"

    def _write_flink_conf(self) -> None:
        conf = self.workdir / "flink-conf"
        shutil.rmtree(conf, ignore_errors=True)
        shutil.copytree(FLINK_HOME / "conf", conf)
        (conf / "config.yaml").write_text(yaml.safe_dump(self.flink_configuration(), width=10_000))
        if self.json_logs:
            for name in ("log4j-console.properties", "log4j-cli.properties"):
                (conf / name).write_text(logs.as_json((conf / name).read_text()))

    def flink_configuration(self) -> dict[str, Any]:
        """flink-conf/config.yaml with this stack's ports and folders, and the caller's options over it."""
        options: dict[str, Any] = yaml.safe_load((CONF / "config.yaml").read_text())
        options |= {
            "rest.port": self.ui_port,
            "rest.bind-port": self.ui_port,
            "jobmanager.rpc.port": free_port(),
            "parallelism.default": self.parallelism,
            "python.execution-mode": self.python_mode,
            "python.executable": str(PYTHON),
            "python.client.executable": str(PYTHON),
            "execution.checkpointing.dir": (self.workdir / "checkpoints").as_uri(),
            "execution.checkpointing.savepoint-dir": (self.workdir / "savepoints").as_uri(),
            "io.tmp.dirs": str(self.workdir / "tmp"),
        }
        return options | self.flink_options

    def _environment(self) -> dict[str, str]:
        # Python's fault handler takes the JVM's own SIGSEGV, which it uses to check for null, for a crash; and PyFlink leaves the
        # folders of its own Flink, which has no connector, in the environment of a process that has used it.
        inherited = {
            name: value for name, value in os.environ.items() if name != "PYTHONFAULTHANDLER" and not name.startswith("FLINK_")
        }
        return inherited | {
            "JAVA_HOME": str(JAVA_HOME),
            "FLINK_HOME": str(FLINK_HOME),
            "FLINK_CONF_DIR": str(self.workdir / "flink-conf"),
            "FLINK_LOG_DIR": str(self.workdir / "logs"),
            "FLINK_PID_DIR": str(self.workdir),
            # Thread mode does not see a virtual environment's packages unless they stand here.
            "PYTHONPATH": str(SITE_PACKAGES),
        }

    def _all_slots(self) -> bool:
        try:
            return int(self.rest("/overview")["slots-total"]) >= self.parallelism
        except (URLError, OSError, KeyError, ValueError):
            return False

    def rest(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        """Calls Flink's REST API."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.rest_url + path, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"null")

    def flink(self, *arguments: str) -> str:
        """Runs Flink's own command line; returns its output. Raises StackError with the line that says why it failed."""
        done = subprocess.run(
            [str(FLINK_HOME / "bin" / "flink"), *arguments], env=self._environment(), capture_output=True, text=True, check=False, cwd=ROOT
        )
        output = done.stdout + done.stderr
        if done.returncode != 0:
            (self.workdir / "flink-client.log").write_text(output)
            reasons = [line.strip() for line in output.splitlines() if re.search(r"(Error|Exception|error)\b.*:", line)]
            raise StackError(f"flink {arguments[0]}: {(reasons or ['failed'])[0][:300]} (log: {self.workdir / 'flink-client.log'})")
        return output

    def submit(self, *arguments: str, savepoint: str | None = None) -> str:
        """Submits the job as a user would, `flink run -py jobs/main.py`; returns the job's id.

        `savepoint`: path of the savepoint or checkpoint that it goes on from, as stop_with_savepoint returns it.
        """
        restored = () if savepoint is None else ("--fromSavepoint", savepoint)
        output = self.flink("run", "--detached", *restored, "-py", "jobs/main.py", "--bootstrap", self.bootstrap, *arguments)
        found = re.search(r"JobID ([0-9a-f]{32})", output)
        if found is None:
            raise StackError(f"flink run named no job: {output[-300:]}")
        return found.group(1)

    def newest_checkpoint(self, job_id: str) -> Path | None:
        """The folder of the job's newest complete checkpoint, or None. Found on disk, so that it needs no JobManager."""
        complete = [path.parent for path in (self.workdir / "checkpoints" / job_id).glob("chk-*/_metadata") if path.stat().st_size]
        return max(complete, key=lambda folder: int(folder.name.removeprefix("chk-")), default=None)

    def job_state(self, job_id: str) -> str:
        """The job's state as Flink names it, such as RUNNING."""
        return str(self.rest(f"/jobs/{job_id}")["state"])

    def wait_running(self, job_id: str, seconds: float = 90) -> None:
        """Waits until every task of the job runs and one checkpoint is complete."""

        def running() -> bool:
            try:
                tasks = self.rest(f"/jobs/{job_id}")["vertices"]
                checkpoints = self.rest(f"/jobs/{job_id}/checkpoints")["counts"]["completed"]
            except HTTPError:
                return False  # 500, while the JobManager makes ready what it has taken on
            return all(task["status"] == "RUNNING" for task in tasks) and checkpoints > 0

        wait_until(running, self.processes, "the job", seconds)

    def stop_with_savepoint(self, job_id: str, seconds: float = 120) -> str:
        """Stops the job so that `submit` can go on from there, at any parallelism; returns the path of the savepoint.

        All output up to it is committed. What Kafka gets meanwhile waits there.

        Raises:
            StackError: says why there is no savepoint; the job then goes on.
        """
        body = {"targetDirectory": (self.workdir / "savepoints").as_uri(), "drain": False}
        trigger = self.rest(f"/jobs/{job_id}/stop", "POST", body)["request-id"]
        found: dict[str, Any] = {}

        def done() -> bool:
            found.update(self.rest(f"/jobs/{job_id}/savepoints/{trigger}"))
            return bool(found["status"]["id"] == "COMPLETED")

        wait_until(done, self.processes, f"the savepoint of job {job_id}", seconds)
        outcome = found["operation"]
        if "failure-cause" in outcome:
            reason = str(outcome["failure-cause"].get("stack-trace") or outcome["failure-cause"].get("class"))
            raise StackError(f"job {job_id} was not stopped, its savepoint failed: {reason.splitlines()[0][:300]}")
        self._wait_ended(job_id)
        return str(outcome["location"])

    def cancel(self, job_id: str) -> None:
        """Cancels the job and waits until it is gone; one that has ended already is left alone."""
        if self.job_state(job_id) in _ENDED:
            return
        self.rest(f"/jobs/{job_id}", method="PATCH")
        self._wait_ended(job_id)

    def _wait_ended(self, job_id: str) -> None:
        wait_until(lambda: self.job_state(job_id) in _ENDED, [], "the job's end", 60)

    # -- what a fault does ------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Running:
        """What was started by this name last."""
        return next(each for each in reversed(self.processes) if each.name == name)

    def kill(self, name: str) -> None:
        """SIGKILL, and waits until it is gone."""
        self._forget(name, kill)

    def terminate(self, name: str) -> None:
        """SIGTERM, and waits until it is gone."""
        self._forget(name, lambda process: stop([process]))

    def _forget(self, name: str, end: Callable[[Running], None]) -> None:
        process = self.process(name)
        end(process)
        self.processes.remove(process)
        self.save()

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> Running:
        running = start(name, command, environment, self.workdir / "logs" / f"{name}.log", self.attached)
        self.processes.append(running)
        self.save()
        return running
