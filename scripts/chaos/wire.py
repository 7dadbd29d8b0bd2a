"""A wire between two hosts, in user space: packets go from one TUN device to the other, some late, some never.

`python -m scripts.chaos.wire PID...`: one wire for the network namespace of each process, with number 1, 2, …: device `mill<number>` here,
device `wire` there. Then a line of JSON on standard input sets one wire: {"wire": 1, "delay_ms": 100, "loss": 0.05, "seed": 7}.

Not tc's netem: it is a kernel module that many machines (this project's too) lack; TUN is nearly everywhere, and here the seed says
which packets are lost.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x0001 | 0x1000
_CLONE_NEWNET: Final = 0x40000000
_LARGEST: Final = 65_536


@dataclass
class Wire:
    """What becomes of packets. Perfect until told otherwise. Pure: the clock is the caller's."""

    delay_s: float = 0
    loss: float = 0
    randomness: random.Random = field(default_factory=random.Random)

    def set(self, delay_ms: float, loss: float, seed: int) -> None:
        """`delay_ms` for each direction; `loss`: share of the packets, 1 cuts the wire."""
        self.delay_s, self.loss, self.randomness = delay_ms / 1000, loss, random.Random(seed)

    def due(self, now_s: float) -> float | None:
        """When a packet that comes now goes out at the other end; None: never."""
        if self.loss and self.randomness.random() < self.loss:
            return None
        return now_s + self.delay_s


@dataclass
class _Ends:
    wire: Wire
    here: int
    there: int


def _device(name: str) -> int:
    """Opens a new TUN device in the network namespace that this thread is in; returns its file descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return device


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _connect(number: int, pid: int, home: int) -> _Ends:
    here = _device(f"mill{number}")
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    _enter(namespace)
    there = _device("wire")
    _enter(home)
    os.close(namespace)
    return _Ends(Wire(), here, there)


def main() -> None:
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    wires = [_connect(number, int(pid), home) for number, pid in enumerate(sys.argv[1:], 1)]
    print("ready", flush=True)
    _relay(wires)


def _relay(wires: list[_Ends]) -> None:
    routes = {ends.here: (ends.wire, ends.there) for ends in wires} | {ends.there: (ends.wire, ends.here) for ends in wires}
    waiting: list[tuple[float, int, int, bytes]] = []  # due, number (keeps ties in order), device, packet
    number = 0
    poll = select.epoll()
    for device in (*routes, sys.stdin.fileno()):
        poll.register(device, select.EPOLLIN)
    while True:
        now_s = time.monotonic()
        while waiting and waiting[0][0] <= now_s:
            _, _, device, packet = heapq.heappop(waiting)
            _write(device, packet)
        for ready, _ in poll.poll(max(0.0, waiting[0][0] - now_s) if waiting else -1):
            if ready == sys.stdin.fileno():
                told = os.read(ready, _LARGEST)  # and not readline, which may keep a second line back
                if not told:
                    return
                for line in told.splitlines():
                    change = json.loads(line)
                    wires[change.pop("wire") - 1].wire.set(**change)
                continue
            wire, other = routes[ready]
            for packet in _packets(ready):
                due_s = wire.due(time.monotonic())  # and not when the wait began
                if due_s is None:
                    continue
                if wire.delay_s == 0:
                    _write(other, packet)
                else:
                    number += 1
                    heapq.heappush(waiting, (due_s, number, other, packet))


def _packets(device: int) -> list[bytes]:
    packets = []
    for _ in range(64):
        try:
            packets.append(os.read(device, _LARGEST))
        except BlockingIOError:
            break
        except OSError:  # the device is down
            break
    return packets


def _write(device: int, packet: bytes) -> None:
    try:
        os.write(device, packet)
    except OSError:  # its queue is full, or the device is down: a lost packet, as on any wire
        return


if __name__ == "__main__":
    if not Path("/dev/net/tun").exists():
        sys.exit("there is no /dev/net/tun")
    main()
