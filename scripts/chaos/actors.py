"""Does what the schedule says: `begin` and `end` of one fault on the running stack.

Every process is hit by the id that it was started with.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException

from jobs.settings import Topics
from scripts.chaos.model import Calm, CheckpointFolder, Fault, Kill, Network, Pause, RollingRestart, Target, Traffic
from scripts.chaos.namespaces import Volume, Wires
from scripts.chaos.schedule import Act, picked
from scripts.chaos.workload import Generators
from scripts.stack import Stack, StackError
from scripts.stack.processes import Running, resume, suspend, wait_until

_SYNC_S = 120
_TIMEOUT_S = 10


@dataclass
class Job:
    """The job under test, over all times that it was submitted."""

    stack: Stack
    topics: Topics
    options: tuple[str, ...]
    ids: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.ids[-1]

    def submit(self) -> None:
        self.ids.append(self.stack.submit(*self.options))

    def resume(self) -> str:
        """Submits it again with the newest checkpoint of its last life that has one; returns which."""
        found = (self.stack.newest_checkpoint(job_id) for job_id in reversed(self.ids))
        checkpoint = next((folder for folder in found if folder is not None), None)
        if checkpoint is None:
            raise StackError(f"no checkpoint of the job {self.id} is left in {self.stack.workdir / 'checkpoints'}")
        self.ids.append(self.stack.submit(*self.options, savepoint=str(checkpoint)))
        return f"{checkpoint.parent.name[:8]}/{checkpoint.name}"


@dataclass
class Actor:
    """Begins and ends the faults of one cell.

    Attributes:
        rate_options: of the steady generator, for one that takes its place.
        moment: is called when the victim is known, and returns when it is to be hit.
    """

    job: Job
    fault: Fault
    generators: Generators
    rate_options: tuple[str, ...]
    wires: Wires | None = None
    volume: Volume | None = None
    moment: Callable[[], None] = lambda: None
    _undo: list[Callable[[], None]] = field(default_factory=list)

    @property
    def _stack(self) -> Stack:
        return self.job.stack

    def begin(self, act: Act) -> str:
        """Does it; returns to whom, in words."""
        match self.fault:
            case Kill():
                return self._kill(act, signal.SIGTERM if self.fault.signal == "TERM" else signal.SIGKILL)
            case Pause():
                names = self._names(act)
                self.moment()
                for name in names:
                    process = self._stack.process(name)
                    suspend(process)
                    self._undo.append(lambda process=process: resume(process))  # type: ignore[misc]
                return ", ".join(names)
            case RollingRestart():
                return self._rolling_restart(act)
            case Network():
                return self._network(act, self.fault)
            case CheckpointFolder():
                assert self.volume is not None
                read_only = self.fault.state == "read-only"
                (self.volume.read_only if read_only else self.volume.fill)()
                self._undo.append(self.volume.writable if read_only else self.volume.empty)
                return f"checkpoints {self.fault.state}"
            case Traffic():
                extra = self.generators.start(*self.fault.options)
                self._undo.append(lambda: self.generators.end(extra))
                return " ".join(self.fault.options)
            case Calm():
                return ""

    def end(self) -> None:
        """Undoes what the last act did: starts again what was killed, mends what was cut."""
        while self._undo:
            self._undo.pop(0)()

    # -- processes ---------------------------------------------------------------------------------------------------------

    def _kill(self, act: Act, sign: signal.Signals) -> str:
        if act.target is Target.GENERATOR:
            generator = self.generators.running[0]
            self.generators.end(generator, sign)
            self._undo.append(self._start_generator)
            return generator.name
        if act.target is Target.PYTHON_WORKER:
            worker = self._python_worker(act)
            worker.send_signal(sign)
            return f"worker {worker.pid}"
        names = self._names(act)
        self.moment()
        for name in names:
            (self._stack.terminate if sign is signal.SIGTERM else self._stack.kill)(name)
            self._undo.append(lambda name=name: self._start(name))  # type: ignore[misc]
        return ", ".join(names)

    def _start_generator(self) -> None:
        self.generators.start(*self.rate_options)

    def _start(self, name: str) -> None:
        if name.startswith("taskmanager"):
            self._stack.start_task_manager(name)
        elif name in self._stack.job_managers:
            manager = self._stack.start_job_manager(name)
            if not self._stack.standbys:
                wait_until(self._answers, [manager], "the JobManager", 60)
                self.job.resume()
        else:
            self._stack.start_broker(self._node_id(name))

    def _answers(self) -> bool:
        try:
            return "slots-total" in self._stack.rest("/overview")
        except OSError:
            return False

    def _names(self, act: Act) -> list[str]:
        """The processes that the act is about."""
        brokers = [self._stack.broker_name(node.node_id) for node in self._stack.nodes()]
        match act.target:
            case Target.TASK_MANAGER:
                return [picked(sorted(each.name for each in self._managers()), act.pick)]
            case Target.TASK_MANAGERS:
                return sorted(each.name for each in self._managers())
            case Target.JOB_MANAGER:
                if (leader := self._stack.leader()) is None:
                    raise StackError("no JobManager leads")
                return [leader]
            case Target.KAFKA:
                return brokers
            case Target.BROKER:
                return [picked(brokers, act.pick)]
            case Target.BROKER_LEADER | Target.BROKER_FOLLOWER:
                return [self._stack.broker_name(self._by_leadership(most=act.target is Target.BROKER_LEADER))]
        raise StackError(f"{act.target}: is no process of the stack")

    def _by_leadership(self, *, most: bool) -> int:
        """The id of the broker that leads the most partitions of the events, or the fewest."""
        leads = Counter({node.node_id: 0 for node in self._stack.nodes()})
        partitions = self._metadata()[self.job.topics.events].partitions.values()
        leads.update(partition.leader for partition in partitions if partition.leader in leads)
        return (max if most else min)(sorted(leads), key=lambda node_id: leads[node_id])

    def _node_id(self, broker: str) -> int:
        return next(node.node_id for node in self._stack.nodes() if self._stack.broker_name(node.node_id) == broker)

    def _metadata(self) -> dict[str, Any]:
        consumer = Consumer({"bootstrap.servers": self._stack.bootstrap, "group.id": "millrace-chaos", "log_level": 0})
        try:
            return dict(consumer.list_topics(timeout=_TIMEOUT_S).topics)
        finally:
            consumer.close()

    def _python_worker(self, act: Act) -> psutil.Process:
        """The youngest of the processes below a TaskManager: the one that runs our code, and not what started it."""
        found: list[psutil.Process] = []

        def any_there() -> bool:
            found[:] = [worker for manager in self._managers() for worker in _workers(manager)]
            return bool(found)

        wait_until(any_there, [], "a Python worker", 60)
        return sorted(found, key=lambda worker: worker.pid)[int(act.pick * len(found))]

    def _managers(self) -> list[Running]:
        return [each for each in self._stack.processes if each.name.startswith("taskmanager")]

    # -- more than a process -----------------------------------------------------------------------------------------------

    def _rolling_restart(self, act: Act) -> str:
        for node in self._stack.nodes():
            name = self._stack.broker_name(node.node_id)
            self._stack.terminate(name)
            time.sleep(act.for_s)
            started = self._stack.start_broker(node.node_id)
            wait_until(self._in_sync, [started], f"{name} in sync", _SYNC_S)
        return "all, one after the other"

    def _in_sync(self) -> bool:
        try:
            topics = self._metadata().values()
        except KafkaException:
            return False
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return all(len(partition.isrs) == len(partition.replicas) for partition in partitions)

    def _network(self, act: Act, fault: Network) -> str:
        assert self.wires is not None
        names = self._names(act)
        for name in names:
            number = self._node_id(name)
            self.wires.set(number, fault.delay_ms, fault.loss, act.seed)
            self._undo.append(partial(self.wires.set, number, 0, 0, 0))
        return ", ".join(names)


def _workers(manager: Running) -> list[psutil.Process]:
    """The Python processes at the ends of a TaskManager's family."""
    try:
        family = psutil.Process(manager.pid).children(recursive=True)
        return [each for each in family if "python" in each.name() and not each.children()]
    except psutil.NoSuchProcess:
        return []
