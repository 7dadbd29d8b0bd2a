"""Real namespaces, wires and volumes, without Kafka or Flink. Skipped, with the reason, where the machine lets none be made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.chaos import namespaces
from scripts.stack.paths import ROOT

MISSING = namespaces.missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


def inside(code: str, folder: Path) -> str:
    """What the code prints when it runs in namespaces of its own."""
    head = "import sys, pathlib\nfrom scripts.chaos.namespaces import *\nloopback_up()\nfolder = pathlib.Path(sys.argv[1])\n"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
    done = subprocess.run(
        [*namespaces._unshare(), sys.executable, "-c", head + code, str(folder)],
        capture_output=True, text=True, check=False, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7000))
print("up", flush=True)
while True:
    with server.accept()[0] as client:
        client.sendall(client.recv(9))
"""
CLIENT = """
import socket, sys
client = socket.create_connection((sys.argv[1], 7000), timeout=2)
client.sendall(b"hello")
print(client.recv(9).decode())
"""
WIRES = f"""
import socket, subprocess, time
wires = Wires(2, folder)
wires.up()
python = [sys.executable, "-S", "-c"]
first, second = (wires.prefix(holder) for holder in wires.processes)
server = subprocess.Popen([*first, *python, {SERVER!r}, wires.hosts[0]], stdout=subprocess.PIPE, text=True)
server.stdout.readline()
def ask(*prefix):
    done = subprocess.run([*prefix, *python, {CLIENT!r}, wires.hosts[0]], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]
def connect_s():
    begun = time.monotonic()
    socket.create_connection((wires.hosts[0], 7000), timeout=5).close()
    return time.monotonic() - begun
print("from here", ask())
print("from the other host", ask(*second))
wires.set(1, 0, 1, 1)
time.sleep(0.5)
print("cut", ask(), "|", ask(*second))
wires.set(1, 0, 0, 1)
print("mended", ask())
wires.set(1, 200, 0, 1)
time.sleep(0.5)
print("slow", connect_s() >= 0.2)
server.kill()
wires.down()
"""


@pytest.mark.thorough
def test_wires_between_hosts(tmp_path: Path) -> None:
    assert inside(WIRES, tmp_path).splitlines() == [
        "from here hello",
        "from the other host hello",
        "cut TimeoutError: timed out | TimeoutError: timed out",
        "mended hello",
        "slow True",
    ]


VOLUME = """
volume = Volume(folder / "volume", 4)
volume.mount()
file = folder / "volume" / "file"
def write(name="new"):
    try:
        (folder / "volume" / name).write_bytes(b"x" * 100_000)
        return "written"
    except OSError as error:
        return error.strerror
print(write("file"))
held = (folder / "volume" / "held").open("wb")  # open for writing, as a checkpoint may be
volume.read_only()
print(write(), "|", len(file.read_bytes()))
volume.writable()
print(write("new too"))
volume.fill()
time.sleep(1)
print(write())
file.unlink()
time.sleep(1)
print(write(), "| although something was deleted")
volume.empty()
print(write())
volume.unmount()
print(file.exists())
"""


@pytest.mark.thorough
def test_a_volume_that_is_read_only_or_full(tmp_path: Path) -> None:
    assert inside("import time\n" + VOLUME, tmp_path).splitlines() == [
        "written",
        "Read-only file system | 100000",
        "written",
        "No space left on device",
        "No space left on device | although something was deleted",
        "written",
        "False",
    ]


@pytest.mark.thorough
def test_nothing_of_it_is_left_on_the_machine(tmp_path: Path) -> None:
    inside("Volume(folder / 'volume', 4).mount()\nwires = Wires(1, folder)\nwires.up()\n(folder / 'volume' / 'file').touch()\n", tmp_path)
    assert list((tmp_path / "volume").iterdir()) == []
    assert not Path("/sys/class/net/mill1").exists()
