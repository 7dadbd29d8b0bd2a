"""Kafka (KRaft, one broker or three) and one Flink cluster (JobManager, TaskManagers of one slot each) on this machine."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self

import yaml

from jobs.settings import Topics
from scripts.stack import class_data, command_line, jars, kafka, logs, topics
from scripts.stack.command_line import CommandLine
from scripts.stack.flink import FIRST_COMPILER, Flink, environment, with_jvm_options
from scripts.stack.paths import CONF, FLINK_HOME, PYTHON
from scripts.stack.processes import Running, alive, free_port, kill, require_free, require_memory, start, stop, wait_until
from scripts.stack.secured import ADMIN, Security
from udfs.kafka_client import Brokers

_KAFKA_MB, _ZOOKEEPER_MB, _JOB_MANAGER_MB, _TASK_MANAGER_MB = 800, 250, 1000, 2600


@dataclass
class Stack:
    """Starts on `with` (or `up`), stops on exit (or `down`). Ends only what it started itself.

    Attributes:
        workdir: logs, configuration, process ids, Kafka's data and Flink's checkpoints.
        parallelism: number of TaskManagers, each of one slot (thread mode has one interpreter per TaskManager).
        python_mode: "thread" or "process", the cluster's default.
        flink_options: Flink configuration over flink-conf/config.yaml.
        short_lived: for minutes and not for hours: no JVM has its second compiler, which takes more than it gives in that time.
        kafka_port, ui_port: 0 takes any free port.
        attached: the kernel ends all processes when this one dies.
        brokers: Kafka's nodes; three have replication 3 and min.insync.replicas 2.
        broker_hosts: the address of each broker; none: the loopback interface.
        secured_users: makes Kafka a secured one (flink-conf/kafka-secured.properties) with these users and `admin`; none: it lets
            everybody in.
        standbys: JobManagers beside the first one; any makes the cluster highly available: if the leader dies, another takes over.
        broker_prefix: words put before each broker's command, such as those that run it in another network namespace.
        json_logs: Flink logs JSON, one object a line.
        warm_client: Flink's command line has a JVM that stays (command_line.py): for a stack that is given many jobs.
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
    secured_users: tuple[str, ...] = ()
    security: Security | None = field(default=None, repr=False)
    standbys: int = 0
    ui_ports: tuple[int, ...] = ()
    zookeeper_port: int = 0
    processes: list[Running] = field(default_factory=list)
    metrics_ports: dict[str, int] = field(default_factory=dict)
    json_logs: bool = False
    short_lived: bool = False
    warm_client: bool = False
    _command_line: CommandLine | None = field(default=None, repr=False)
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
    def admin(self) -> Brokers:
        """Who may do everything in Kafka."""
        return Brokers(self.bootstrap, str(self.security.login(ADMIN)) if self.security else "")

    @property
    def _hosts(self) -> tuple[str, ...]:
        return self.broker_hosts or ("127.0.0.1",) * self.brokers

    @property
    def rest_url(self) -> str:
        """The REST interface of a JobManager that runs. Whichever it is, it answers for the leader."""
        return self._rest_urls()[0]

    def _rest_urls(self) -> tuple[str, ...]:
        ports = dict(zip(self.job_managers, self.ui_ports or (self.ui_port,), strict=True))
        living = [name for name in ports if any(each.name == name for each in self.processes)]
        return tuple(f"http://127.0.0.1:{ports[name]}" for name in living or ports)

    @property
    def job_managers(self) -> tuple[str, ...]:
        """The names of the JobManagers' processes."""
        return ("jobmanager", *(f"jobmanager-{number + 2}" for number in range(self.standbys)))

    def up(self) -> None:
        """Starts Kafka and Flink and waits until both answer. Raises StackError, and leaves nothing running then."""
        with self._starting():
            self._wait_for_kafka()
            wait_until(self._all_slots, self.processes, "Flink", 90)

    def up_with_job(self, *options: str, meanwhile: Callable[[], None] = lambda: None) -> str:
        """Starts Kafka and Flink, makes the job's topics and submits it. Returns the job's id; it need not run yet.

        To plan the job takes longer than the start of all else, and needs none of it.

        Args:
            options: of jobs/main.py.
            meanwhile: called when Kafka answers and has the topics.

        Raises:
            StackError: nothing is left running then.
        """
        # All else is started by this thread: the kernel ends attached processes together with the thread that they come from.
        with self._starting(), ThreadPoolExecutor(1) as beside:
            job = beside.submit(self.submit, *options)
            self._wait_for_kafka()
            self.create_topics()
            meanwhile()
            return job.result()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        jars.ensure()
        managers = _JOB_MANAGER_MB * (1 + self.standbys) + _TASK_MANAGER_MB * self.parallelism
        require_memory(_KAFKA_MB * self.brokers + managers + (_ZOOKEEPER_MB if self.standbys else 0))
        self.ui_port = require_free(self.ui_port, "Flink web UI", "--port-ui")
        self.ui_ports = (self.ui_port, *(free_port() for _ in range(self.standbys)))
        try:
            self._start_kafka()
            self._start_flink()
            yield
        except BaseException:
            self.down()
            raise

    def up_kafka(self) -> None:
        """Starts Kafka alone, on the data that it left if it ran before, and waits until it answers. Raises StackError."""
        self._start_kafka()
        self._wait_for_kafka()

    def down(self) -> None:
        """Stops all that was started."""
        in_time = stop(list(reversed(self.processes)))
        if in_time and (self.workdir / "checkpoints").exists():  # without a job, half of the classes would be missing
            class_data.keep(self._new_class_data)
        self.processes.clear()
        self._command_line = None
        (self.workdir / "stack.json").unlink(missing_ok=True)

    # -- on disk, so that scripts/down finds what scripts/up started -----------------------------------------------------

    def save(self) -> None:
        """Writes down what runs."""
        known = {"kafka_port": self.kafka_port, "ui_port": self.ui_port, "parallelism": self.parallelism, "brokers": self.brokers,
                 "broker_ports": self.broker_ports, "broker_hosts": self.broker_hosts, "ui_ports": self.ui_ports, "standbys": self.standbys,
                 "metrics_ports": self.metrics_ports,
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
        known |= {name: tuple(known[name]) for name in ("broker_ports", "broker_hosts", "ui_ports")}
        return cls(workdir, **known, processes=[each for each in processes if alive(each)])

    # -- Kafka --------------------------------------------------------------------------------------------------------------

    def _start_kafka(self) -> None:
        self.kafka_port = require_free(self.kafka_port, "Kafka", "--port-kafka")
        self.broker_ports = self.broker_ports or (self.kafka_port, *(free_port() for _ in range(self.brokers - 1)))
        self.workdir.mkdir(parents=True, exist_ok=True)
        if self.secured_users and self.security is None:
            self.security = Security.made(self.workdir / "security", {*self._hosts, "localhost"}, self.secured_users)
        kafka.configure(self.nodes(), self.security)
        for node in self.nodes():
            self.start_broker(node.node_id)

    def _wait_for_kafka(self) -> None:
        brokers = [each for each in self.processes if each.name.startswith("kafka")]
        wait_until(lambda: topics.answers(self.admin, self.brokers), brokers, "Kafka", 90)

    def nodes(self) -> list[kafka.Node]:
        """Kafka's nodes, as they were planned."""
        if not self._nodes:
            for index, (host, port) in enumerate(zip(self._hosts, self.broker_ports, strict=True)):
                folder = self.workdir / self.broker_name(index + 1)
                more = (free_port(), free_port()) if self.secured_users else ()
                self._nodes.append(kafka.Node(index + 1, host, port, free_port(), folder, *more))
        return self._nodes

    def broker_name(self, node_id: int) -> str:
        """The name of a broker's process."""
        return "kafka" if self.brokers == 1 else f"kafka-{node_id}"

    def start_broker(self, node_id: int) -> Running:
        """Starts a broker, with the data that it has."""
        prefix = self.broker_prefix[node_id - 1] if self.broker_prefix else ()
        compilers = [FIRST_COMPILER] if self.short_lived else []
        command = kafka.command(self.nodes()[node_id - 1], [*compilers, *class_data.of_server("kafka", self._new_class_data)])
        return self._start(self.broker_name(node_id), [*prefix, *command], dict(os.environ))

    def create_topics(self, names: Topics | None = None, partitions: int = 4) -> None:
        """Makes the job's topics."""
        topics.create(self.admin, names or Topics(), partitions, kafka.replication(self.brokers))

    # -- Flink --------------------------------------------------------------------------------------------------------------

    def _start_flink(self) -> None:
        if self.standbys:
            self.zookeeper_port = free_port()
        self._write_flink_conf()
        if self.standbys:
            self._start("zookeeper", [str(FLINK_HOME / "bin" / "zookeeper.sh"), "start-foreground", "1"], self._environment())
        for name in self.job_managers:
            self.start_job_manager(name)
        for index in range(self.parallelism):
            self.start_task_manager(f"taskmanager-{index + 1}")

    def start_job_manager(self, name: str = "jobmanager") -> Running:
        """Starts a JobManager. Without high availability it knows no job: `submit` one with its newest checkpoint."""
        port = self.ui_ports[self.job_managers.index(name)]
        own = [part for key in ("rest.port", "rest.bind-port") for part in ("-D", f"{key}={port}")]
        return self._start_reporting(name, "jobmanager.sh", *own)

    def leader(self) -> str | None:
        """The JobManager that leads, by their logs: the last one to have been granted that. None: not known yet."""
        if not self.standbys:
            return self.job_managers[0]
        granted: dict[str, str] = {}
        for each in self.processes:
            if each.name in self.job_managers:
                lines = [line for line in Path(each.log).read_text(errors="replace").splitlines() if "granted leadership" in line]
                granted |= {each.name: lines[-1]} if lines else {}
        return max(granted, key=granted.__getitem__, default=None)  # each line begins with its time

    def start_application(self, entry_class: str, *arguments: str) -> str:
        """In place of a cluster that `submit` gives a job: a JobManager that runs the job's program itself, as on Kubernetes, and its
        TaskManagers. Kafka must be up (`up_kafka`) and have the topics. Returns the job's id once all tasks run.
        """
        self.ui_port = require_free(self.ui_port, "Flink web UI", "--port-ui")
        self._write_flink_conf()
        self._start_reporting("jobmanager", "standalone-job.sh", "--job-classname", entry_class, *arguments)
        for index in range(self.parallelism):
            self.start_task_manager(f"taskmanager-{index + 1}")
        found: list[str] = []

        def planned() -> bool:
            try:
                found[:] = [job["id"] for job in self.rest("/jobs")["jobs"]]
            except OSError:
                return False
            return bool(found)

        wait_until(planned, self.processes, "the application", 120)
        self.wait_running(found[0])
        return found[0]

    def start_task_manager(self, name: str) -> Running:
        """Starts one more TaskManager."""
        return self._start_reporting(name, "taskmanager.sh")

    def _start_reporting(self, name: str, script: str, *options: str) -> Running:
        """Starts a process of Flink, and tells Prometheus where its metrics are."""
        self.metrics_ports[name] = free_port()
        own = ("-D", f"metrics.reporter.prom.port={self.metrics_ports[name]}", *options)
        jvm_options = class_data.of_server(name.partition("-")[0], self._new_class_data)
        variables = with_jvm_options(self._environment(), jvm_options)
        running = self._start(name, [str(FLINK_HOME / "bin" / script), "start-foreground", *own], variables)
        self._tell_prometheus()
        return running

    def _tell_prometheus(self) -> None:
        targets = [f"127.0.0.1:{port}" for port in self.metrics_ports.values()]
        self.prometheus_targets.write_text(json.dumps([{"targets": targets, "labels": {"cluster": "local"}}]))

    @property
    def prometheus_targets(self) -> Path:
        """Where Flink's processes can be scraped, for Prometheus' file_sd_configs."""
        return self.workdir / "prometheus-targets.json"

    def _write_flink_conf(self) -> None:
        conf = self.workdir / "flink-conf"
        shutil.rmtree(conf, ignore_errors=True)
        shutil.copytree(FLINK_HOME / "conf", conf)
        (conf / "config.yaml").write_text(yaml.safe_dump(self.flink_configuration(), width=10_000))
        if self.standbys:
            text = Template((CONF / "zoo.cfg").read_text()).substitute(port=self.zookeeper_port, data=self.workdir / "zookeeper")
            (conf / "zoo.cfg").write_text(text)
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
        if self.standbys:
            options |= yaml.safe_load((CONF / "high-availability.yaml").read_text())
            options["high-availability.zookeeper.quorum"] = f"127.0.0.1:{self.zookeeper_port}"
            options["high-availability.storageDir"] = (self.workdir / "high-availability").as_uri()
        if self.short_lived:
            options["env.java.opts.taskmanager"] = FIRST_COMPILER
        return options | self.flink_options

    def _environment(self) -> dict[str, str]:
        return environment(self.workdir / "flink-conf", self.workdir / "logs")

    def _all_slots(self) -> bool:
        try:
            return int(self.rest("/overview")["slots-total"]) >= self.parallelism
        except (OSError, KeyError, ValueError):
            return False

    @property
    def cluster(self) -> Flink:
        """Flink as its users see it."""
        log = self.workdir / "flink-client.log"
        run = self._run_in_warm_client if self.warm_client else None
        return Flink(self._rest_urls(), self._environment(), log, watched=lambda: self.processes, run=run)

    def _run_in_warm_client(self, arguments: Sequence[str], folder: Path) -> tuple[int, str]:
        if self._command_line is None:
            conf, logs = self.workdir / "flink-conf", self.workdir / "logs"
            configuration = self.flink_configuration()
            options = shlex.split(f"{configuration['env.java.opts.all']} {configuration['env.java.opts.client']}")
            # Flink's log is a file apart: it begins anew, and would overwrite the port.
            command = command_line.command(conf, logs / "flink-client.log", options)
            running = self._start("command-line", command, command_line.environment(self._environment()))
            port = Path(running.log)
            wait_until(lambda: port.read_text().strip().isdecimal(), [running], "Flink's command line", 60)
            self._command_line = CommandLine(int(port.read_text()), conf, logs / "command-line-said")
        return self._command_line.run(arguments, folder)

    def rest(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        """Calls Flink's REST API."""
        return self.cluster.rest(path, method, body)

    def flink(self, *arguments: str) -> str:
        """Runs Flink's own command line; returns its output. Raises StackError with the line that says why it failed."""
        return self.cluster.command(*arguments)

    def submit(self, *arguments: str, savepoint: str | None = None) -> str:
        """Submits the job with these options; returns its id. `savepoint`: path of the savepoint or checkpoint that it goes on from."""
        return self.cluster.submit("--bootstrap", self.bootstrap, *arguments, savepoint=savepoint)

    def newest_checkpoint(self, job_id: str) -> Path | None:
        """The folder of the job's newest complete checkpoint, or None. Found on disk, so that it needs no JobManager."""
        complete = [path.parent for path in (self.workdir / "checkpoints" / job_id).glob("chk-*/_metadata") if path.stat().st_size]
        return max(complete, key=lambda folder: int(folder.name.removeprefix("chk-")), default=None)

    def job_state(self, job_id: str) -> str:
        """The job's state as Flink names it, such as RUNNING."""
        return self.cluster.job_state(job_id)

    def wait_running(self, job_id: str, seconds: float = 90) -> None:
        """Waits until every task of the job runs and one checkpoint is complete. Raises StackError."""
        self.cluster.wait_running(job_id, seconds)

    def stop_with_savepoint(self, job_id: str, seconds: float = 120) -> str:
        """Stops the job so that `submit` can go on from there; returns the path of the savepoint. Raises StackError."""
        return self.cluster.stop_with_savepoint(job_id, seconds)

    def cancel(self, job_id: str) -> None:
        """Cancels the job and waits until it is gone; one that has ended already is left alone."""
        self.cluster.cancel(job_id)

    # -- what a fault does ------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Running:
        """What was started by this name last."""
        return next(each for each in reversed(self.processes) if each.name == name)

    def kill(self, name: str) -> None:
        """SIGKILL, and waits until it is gone."""
        self._forget(name, kill)

    def terminate(self, name: str) -> None:
        """SIGTERM, and waits until it is gone; nobody looks for its metrics any more."""
        self._forget(name, lambda process: stop([process]))
        if self.metrics_ports.pop(name, None):
            self._tell_prometheus()

    def _forget(self, name: str, end: Callable[[Running], object]) -> None:
        process = self.process(name)
        end(process)
        self.processes.remove(process)
        self.save()

    @property
    def _new_class_data(self) -> Path:
        return self.workdir / "class-data"

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> Running:
        running = start(name, command, environment, self.workdir / "logs" / f"{name}.log", self.attached)
        self.processes.append(running)
        self.save()
        return running
