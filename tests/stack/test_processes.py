"""Starting and ending child processes, and the one-line errors that a user sees."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from scripts.stack import StackError, processes
from scripts.stack.processes import Running, alive, free_port, last_line, require_free, require_memory, start, stop, wait_until

SLEEPER = "import sys, time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}])"


def started(code: str, folder: Path, name: str = "child", attached: bool = False) -> Running:
    return start(name, [sys.executable, "-c", code], os.environ, folder / f"{name}.log", attached)


def until_up(running: Running) -> None:
    wait_until(lambda: "up" in Path(running.log).read_text(), [running], running.name, 30)


def test_stop_ends_a_process_and_its_children(tmp_path: Path) -> None:
    running = started(PARENT, tmp_path)
    until_up(running)
    (child,) = psutil.Process(running.pid).children()
    assert stop([running])
    assert not alive(running)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_ignores_the_request_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.2)
    running = started(STUBBORN, tmp_path)
    until_up(running)
    assert not stop([running]), "it did not end by itself"
    assert not alive(running)


def test_stop_of_what_has_ended_already(tmp_path: Path) -> None:
    running = started("pass", tmp_path)
    psutil.Process(running.pid).wait(30)
    assert stop([running])
    assert not alive(running)


def test_another_process_of_the_same_id_is_not_ours() -> None:
    stranger = Running("stranger", os.getpid(), started=1.0, log="")
    assert not alive(stranger)
    stop([stranger])  # or this test would not go on


@pytest.mark.thorough
def test_an_attached_process_ends_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import os
from pathlib import Path
from scripts.stack.processes import start
child = start("child", [{sys.executable!r}, "-c", {SLEEPER!r}], os.environ, Path({str(tmp_path / "grandchild.log")!r}), attached=True)
print(child.pid, flush=True)
print("up", flush=True)
import time; time.sleep(600)
"""
    running = started(parent, tmp_path)
    until_up(running)
    child = psutil.Process(int(Path(running.log).read_text().split()[0]))
    os.kill(running.pid, 9)
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_free_port_can_be_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError) as refused:
            require_free(port, "Kafka", "--port-kafka")
    assert str(refused.value) == f"port {port} (Kafka) is taken: end what uses it, or choose another with --port-kafka (0: any)"
    assert require_free(port, "Kafka", "--port-kafka") == port


def test_any_port() -> None:
    assert require_free(0, "Kafka", "--port-kafka") > 0


def test_short_memory_is_said() -> None:
    require_memory(1)
    with pytest.raises(StackError, match=r"^\d+ MB of memory are available, 1000000000 MB are needed: end other programs"):
        require_memory(10**9)


def test_waiting_for_a_process_that_dies_says_why(tmp_path: Path) -> None:
    running = started("raise SystemExit('ERROR no disk')", tmp_path)
    with pytest.raises(StackError, match=r"^child ended while starting: ERROR no disk \(log: .*child\.log\)$"):
        wait_until(lambda: False, [running], "the child", 30)


def test_waiting_in_vain_names_the_log(tmp_path: Path) -> None:
    running = started(SLEEPER, tmp_path)
    try:
        with pytest.raises(StackError, match=r"^the child was not ready after 0 s \(logs: .*child\.log\)$"):
            wait_until(lambda: False, [running], "the child", 0)
    finally:
        stop([running])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "nothing was logged"),
        ("one\ntwo\n\n", "two"),
        ("one\nERROR disk full\n  at a.b.C\n", "ERROR disk full"),
        ("java.net.BindException: in use\n\tat x\n", "java.net.BindException: in use"),
        ("\x1b[?25l[\x1b[31mERROR\x1b[0m] no file\n\x1b[?25h\n", "[ERROR] no file"),
        ("one\n\x1b[?25h\n", "one"),
        ("x" * 500, "x" * 200),
    ],
)
def test_the_line_that_says_why(tmp_path: Path, text: str, line: str) -> None:
    log = tmp_path / "a.log"
    log.write_text(text)
    assert last_line(log) == line


@pytest.mark.thorough
def test_kill_ends_the_whole_group(tmp_path: Path) -> None:
    running = started(PARENT, tmp_path)
    until_up(running)
    children = psutil.Process(running.pid).children()
    assert children
    processes.kill(running)
    assert not alive(running)
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_suspend_and_resume(tmp_path: Path) -> None:
    running = started("import time\nwhile True:\n  print('up', end='', flush=True); time.sleep(0.01)", tmp_path)
    until_up(running)
    processes.suspend(running)
    wait_until(lambda: psutil.Process(running.pid).status() == psutil.STATUS_STOPPED, [], "the stop", 30)
    assert alive(running)
    said = Path(running.log).stat().st_size
    processes.resume(running)
    wait_until(lambda: Path(running.log).stat().st_size > said, [running], "more output", 30)
    processes.kill(running)
