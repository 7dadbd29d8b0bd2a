"""A real PostgreSQL server for tests, in a folder of its own, on a free port, with a password."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

from scripts.stack.processes import Running, alive, free_port, start, stop, wait_until

USER = "warehouse"
PASSWORD = "secret-of-the-test-5f1c"


def programs() -> Path:
    """The folder of `initdb` and `postgres`; skips the test where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not debian:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return debian[-1].parent


class Postgres:
    """Runs on `with`. Its one user owns all; its password stands in `pgpass`, and connections over TCP ask for it."""

    def __init__(self) -> None:
        self._programs = programs()
        self._running: Running | None = None
        self._databases = 0
        self.port = free_port()

    def __enter__(self) -> Self:
        # Not in pytest's folder: that one is root's alone, and PostgreSQL does not run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="millrace-postgres-"))
        self._folder.chmod(0o755)
        self.pgpass = self._folder / "pgpass"
        self.pgpass.write_text(f"127.0.0.1:{self.port}:*:{USER}:{PASSWORD}\n")
        self.pgpass.chmod(0o600)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        data = self._folder / "data"
        data.mkdir()
        if os.geteuid() == 0:
            account = _account()
            for path in (data, password):
                os.chown(path, account.pw_uid, account.pw_gid)
        initdb = [f"{self._programs}/initdb", "--pgdata", str(data), "--username", USER, "--pwfile", str(password),
                  "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]  # fmt: skip
        subprocess.run([*_as_account(), *initdb], check=True, capture_output=True, cwd=data)
        password.unlink()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._running is not None:
            stop([self._running])
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        command = [f"{self._programs}/postgres", "-D", str(self._folder / "data"), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                   "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "timezone=UTC"]  # fmt: skip
        self._running = start("postgres", [*_as_account(), *command], os.environ, self._folder / "log", attached=True)
        wait_until(self._answers, [self._running], "PostgreSQL", 60)

    def crash(self) -> None:
        """Ends the server at once, without a checkpoint: the next start recovers from its log."""
        assert self._running is not None
        os.killpg(self._running.pid, signal.SIGQUIT)
        wait_until(lambda: self._running is None or not _reaped(self._running), [], "PostgreSQL's end", 60)
        self._running = None

    def make_database(self) -> str:
        """Makes an empty database; returns its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def url(self, name: str) -> str:
        """Where a database is, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(host="127.0.0.1", port=self.port, dbname=database, user=USER, password=PASSWORD, autocommit=True)

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def _reaped(running: Running) -> bool:
    """Whether the process still runs; takes its exit code if not."""
    try:
        os.waitpid(running.pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return alive(running)


def _account() -> pwd.struct_passwd:
    """Whom PostgreSQL runs as, since it refuses root."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_account() -> list[str]:
    """A command that runs the rest as that account. A change of account clears the signal at the parent's death: set again."""
    if os.geteuid() != 0:
        return []
    account = _account()
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--pdeathsig", "QUIT"]
