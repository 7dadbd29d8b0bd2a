"""The dashboard's web server on a free port, fed by a test instead of Kafka and Flink."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from scripts.dashboard_app.flink import JobView
from scripts.dashboard_app.main import Server
from scripts.dashboard_app.shared import Shared
from scripts.dashboard_app.web import create_app
from scripts.outputs.record import Offsets, Record
from tests.dashboard_app.samples import ABOUT, job


@dataclass
class Serving:
    """A running server, and what feeds it."""

    shared: Shared
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def feed(self, *records: Record, offsets: Offsets | None = Offsets(100, 7), view: JobView | None = None) -> None:
        """Records, and answers of Kafka and Flink as if all were well."""
        self.shared.records(records)
        self.shared.offsets(offsets)
        self.shared.job(view or fresh_job())

    def get(self, path: str, host: str | None = None, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, headers (in lower case) and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host if host is not None else f"127.0.0.1:{self.port}")
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, _, body = self.get(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first snapshot that is as wanted."""
        deadline_s = time.monotonic() + 30
        while not wanted(found := self.json("/api/snapshot")):
            assert time.monotonic() < deadline_s, found
            time.sleep(0.05)
        return dict(found)

    @contextmanager
    def stream(self) -> Iterator[HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/api/events")
        try:
            yield connection.getresponse()
        finally:
            connection.close()


def fresh_job(**changes: Any) -> JobView:
    """A job of now: of the one in samples, the last checkpoint would be years ago."""
    now_ms = time.time_ns() // 1_000_000
    view = job(started_ms=now_ms - 60_000)
    assert view.checkpoint is not None
    tasks = tuple(replace(task, watermark_ms=task.watermark_ms and now_ms - 2_000) for task in view.tasks)
    return replace(view, checkpoint=replace(view.checkpoint, completed_ms=now_ms - 500), tasks=tasks, **changes)


@contextmanager
def serving(port: int = 0, hosts: Iterable[str] = (), shared: Shared | None = None) -> Iterator[Serving]:
    shared = shared or Shared(ABOUT)
    listener = socket.create_server(("127.0.0.1", port))
    server = Server(create_app(shared, tuple(hosts), interval_s=0.1))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Serving(shared, listener.getsockname()[1])
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(30)
        listener.close()
        assert not thread.is_alive()
