"""Hosts on one machine: network namespaces behind wires, and file systems that the rest of the machine does not see.

All of it lives in namespaces of this program's own (`unshare`): nothing of the machine is changed, and nothing stays when it ends, however.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.stack.errors import StackError
from scripts.stack.paths import PYTHON
from scripts.stack.processes import Running, start, stop, wait_until

_INSIDE: Final = "MILLRACE_CHAOS_NAMESPACES"
_MTU: Final = "9000"
_FILL_S: Final = 0.1
_CHUNK: Final = b"\0" * 2**20


def inside() -> bool:
    """Whether this program runs in namespaces of its own already."""
    return os.environ.get(_INSIDE) == "1"


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--mount", "--"]


def missing() -> str | None:
    """Why there can be no namespaces here, or None."""
    for program in ("unshare", "nsenter", "ip", "mount"):
        if shutil.which(program) is None:
            return f"there is no program {program}"
    trial = "ip link set lo up && ip tuntap add dev trial mode tun && mount -t tmpfs -o size=1m tmpfs /tmp"
    done = subprocess.run([*_unshare(), "sh", "-c", trial], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"this machine lets no namespaces be made: {done.stderr.strip()[:200]}"


def enter(arguments: list[str]) -> None:
    """Replaces this program by itself, `python -m MODULE arguments`, in new namespaces."""
    os.environ[_INSIDE] = "1"
    os.execvp("unshare", [*_unshare(), sys.executable, *arguments])


def loopback_up() -> None:
    """A new network namespace has its loopback interface down."""
    _run("ip", "link", "set", "lo", "up")


@dataclass
class Wires:
    """`count` hosts 10.77.N.2, each behind a wire from 10.77.N.1; they reach each other through here."""

    count: int
    folder: Path
    processes: list[Running] = field(default_factory=list)

    def up(self) -> None:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for number in range(1, self.count + 1):
            holder = start(f"host-{number}", ["unshare", "--net", "--", "sleep", "infinity"], os.environ, self._log(f"host-{number}"), True)
            self.processes.append(holder)
        own = _namespace(os.getpid())
        wait_until(lambda: all(_namespace(holder.pid) not in ("", own) for holder in self.processes), self.processes, "the hosts", 20)
        self._relay = subprocess.Popen(
            [str(PYTHON), "-m", "scripts.chaos.wire", *(str(holder.pid) for holder in self.processes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log("wires").open("ab"), text=True, start_new_session=True,
        )  # fmt: skip
        assert self._relay.stdout is not None
        if self._relay.stdout.readline().strip() != "ready":
            raise StackError(f"the wires could not be laid (log: {self._log('wires')})")
        for number, holder in enumerate(self.processes, 1):
            _run("ip", "address", "add", f"10.77.{number}.1/30", "dev", f"mill{number}")
            _run("ip", "link", "set", f"mill{number}", "up", "mtu", _MTU)
            there = self.prefix(holder)
            _run(*there, "ip", "link", "set", "lo", "up")
            _run(*there, "ip", "address", "add", f"10.77.{number}.2/30", "dev", "wire")
            _run(*there, "ip", "link", "set", "wire", "up", "mtu", _MTU)
            _run(*there, "ip", "route", "add", "default", "via", f"10.77.{number}.1")

    def down(self) -> None:
        assert self._relay.stdin is not None
        self._relay.stdin.close()
        self._relay.wait()
        stop(self.processes)

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(f"10.77.{number}.2" for number in range(1, self.count + 1))

    @staticmethod
    def prefix(holder: Running) -> tuple[str, ...]:
        """Words before a command that make it run on that host."""
        return ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--")

    def set(self, number: int, round_trip_ms: float, loss: float, seed: int) -> None:
        """How a host's wire behaves from now on."""
        assert self._relay.stdin is not None
        change = {"wire": number, "delay_ms": round_trip_ms / 2, "loss": loss, "seed": seed}
        self._relay.stdin.write(json.dumps(change) + "\n")
        self._relay.stdin.flush()

    def _log(self, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{name}.log"


@dataclass
class Volume:
    """A small file system of its own under `folder`, that can be made read-only or full."""

    folder: Path
    size_mb: int

    def mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self.size_mb}m", "tmpfs", str(self.folder))

    def unmount(self) -> None:
        _run("umount", "--lazy", str(self.folder))

    def read_only(self) -> None:
        """A read-only view over it: what is open for writing would keep the file system itself from becoming so."""
        _run("mount", "--bind", str(self.folder), str(self.folder))
        _run("mount", "-o", "remount,bind,ro", str(self.folder))

    def writable(self) -> None:
        _run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Fills it, and keeps it full when others delete something, until `empty`."""
        self._ended = threading.Event()
        self._filler = threading.Thread(target=self._keep_full, daemon=True)
        self._filler.start()

    def empty(self) -> None:
        self._ended.set()
        self._filler.join()
        (self.folder / "filler").unlink()

    def _keep_full(self) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as file:
            while not self._ended.wait(_FILL_S):
                for size in (len(_CHUNK), 4096, 1):
                    _write_while_possible(file.fileno(), _CHUNK[:size])


def _write_while_possible(file: int, chunk: bytes) -> None:
    try:
        while os.write(file, chunk):
            pass
    except OSError:  # full: that is what it is for
        return


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"{' '.join(command)}: {done.stderr.strip()[:200]}")
