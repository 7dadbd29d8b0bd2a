"""Child processes of the local stack: each in a group of its own, ended as a whole, never by name."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.text import Text

from scripts.stack.errors import StackError

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 20

_SERVER_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Running:
    """A started process; its start time tells it from a later process with the same id."""

    name: str
    pid: int
    started: float
    log: str


def free_port() -> int:
    """A port that nobody uses, chosen at random below those that the kernel gives to outgoing connections: one of these may be
    taken by any client in the seconds until its server starts."""
    for port in random.sample(_SERVER_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StackError(f"no free port from {_SERVER_PORTS.start} to {_SERVER_PORTS.stop - 1}: end what uses them")


def require_free(port: int, what: str, option: str) -> int:
    """Returns `port` (0: any free one), or raises StackError if something listens there."""
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StackError(f"port {port} ({what}) is taken: end what uses it, or choose another with {option} (0: any)") from None
    return port


def require_memory(needed_mb: int) -> None:
    """Raises StackError if less memory is available than the stack needs."""
    available_mb = psutil.virtual_memory().available // 2**20
    if available_mb < needed_mb:
        raise StackError(f"{available_mb} MB of memory are available, {needed_mb} MB are needed: end other programs, then try again")


def start(name: str, command: list[str], environment: Mapping[str, str], log: Path, attached: bool) -> Running:
    """Starts a process in a new group, output to `log`; `attached`: the kernel ends it when this process dies, however."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=_die_with_parent if attached else None,
        )  # fmt: skip
    return Running(name, process.pid, psutil.Process(process.pid).create_time(), str(log))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def alive(running: Running) -> bool:
    """Whether exactly this process still runs."""
    try:
        process = psutil.Process(running.pid)
        return abs(process.create_time() - running.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(processes: list[Running]) -> bool:
    """Ends the processes and all in their groups: SIGTERM, and after 20 s SIGKILL. Returns whether the former was enough."""
    living = [each for each in processes if alive(each)]
    asked = living
    for sign in (signal.SIGTERM, signal.SIGKILL):
        asked = living
        for each in living:
            try:
                os.killpg(each.pid, sign)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + _STOP_SECONDS
        while living and time.monotonic() < deadline:
            for each in living:
                _reap(each.pid)
            living = [each for each in living if alive(each)]
            time.sleep(0.05)
    return not asked


def kill(process: Running) -> None:
    """SIGKILL to the process and all in its group; returns when it is gone."""
    _signal(process, signal.SIGKILL)
    while alive(process):
        _reap(process.pid)
        time.sleep(0.02)


def suspend(process: Running) -> None:
    """SIGSTOP to the process and all in its group: it holds all its connections, and answers nobody."""
    _signal(process, signal.SIGSTOP)


def resume(process: Running) -> None:
    """SIGCONT to the process and all in its group."""
    _signal(process, signal.SIGCONT)


def _signal(process: Running, sign: signal.Signals) -> None:
    if alive(process):
        os.killpg(process.pid, sign)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # started by another program, or reaped already


def wait_until(ready: Callable[[], bool], running: list[Running], what: str, seconds: float) -> None:
    """Waits for a condition; raises StackError, with the end of the log, if a process dies or time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        for each in running:
            if not alive(each):
                raise StackError(f"{each.name} ended while starting: {last_line(Path(each.log))} (log: {each.log})")
        if time.monotonic() > deadline:
            logs = ", ".join(each.log for each in running)
            raise StackError(f"{what} was not ready after {seconds:.0f} s (logs: {logs})")
        time.sleep(0.1)


def last_line(log: Path) -> str:
    """The last line of a log that names an error, else its last line; without the escape codes of a terminal."""
    read = log.read_text(errors="replace").splitlines()
    lines = [line for each in read if (line := (Text.from_ansi(each).plain if "\x1b" in each else each).strip())]
    errors = [line for line in lines if "ERROR" in line or "Exception" in line]
    return (errors or lines or ["nothing was logged"])[-1][:200]
