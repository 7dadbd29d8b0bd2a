"""Joins the readers, the state and the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from rich.console import Console
from rich.live import Live

from scripts.demo_app.flink import FlinkJob
from scripts.demo_app.render import Places, picture, places
from scripts.demo_app.report import line
from scripts.demo_app.state import OUTPUTS, RULE_STATUS, Totals, ViewState
from scripts.outputs.feed import BEGINNING, END, KafkaFeed
from scripts.outputs.flink import NoAnswer
from scripts.outputs.record import Offsets, Record

_GROUP = "millrace"  # the job's --group-id
_STARTS = dict.fromkeys(OUTPUTS, END) | {RULE_STATUS: BEGINNING}
_REDRAW_S = 0.5
_LINE_EVERY_S = 5.0


def watch(
    bootstrap: str,
    rest_url: str,
    job_id: str,
    seconds: float | None,
    plain: bool,
    stop: threading.Event,
    topic_prefix: str = "",
    dashboard_url: str = "",
) -> Totals:
    """Shows what comes out of the job, until `seconds` have passed (None: without end), `stop` is set, or Ctrl-C.

    Args:
        plain: one line every 5 s and no picture, as without a terminal.
        dashboard_url: of the web page that shows more, if there is one.

    Returns:
        What came meanwhile.
    """
    shared = _Shared()
    ended = threading.Event()
    console = Console()
    with ThreadPoolExecutor(2, thread_name_prefix="demo") as pool:
        workers = [
            pool.submit(KafkaFeed(bootstrap, topic_prefix, _GROUP, _STARTS, shared.records, shared.offsets).run, ended),
            pool.submit(_ask_flink, FlinkJob(rest_url, job_id), shared, ended),
        ]
        try:
            deadline_s = None if seconds is None else time.monotonic() + seconds
            show = _lines if plain or not console.is_terminal or console.is_dumb_terminal else _pictures
            show(console, places(rest_url, dashboard_url), shared, lambda: _go_on(workers, deadline_s, stop))
        except KeyboardInterrupt:
            pass  # the usual end of a demo
        finally:
            ended.set()
    for worker in workers:
        worker.result()
    return shared.state.totals()


class _Shared:
    """The state, and the lock under which three threads use it."""

    def __init__(self) -> None:
        self.state = ViewState()
        self.lock = threading.Lock()

    def records(self, records: list[Record]) -> None:
        with self.lock:
            for record in records:
                self.state.observe(record)

    def offsets(self, offsets: Offsets | None) -> None:
        with self.lock:
            if offsets is None:
                self.state.kafka_silent()
            else:
                self.state.kafka_said(offsets, time.monotonic())


def _ask_flink(flink: FlinkJob, shared: _Shared, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            status = flink.status()
        except NoAnswer:
            status = None
        with shared.lock:
            if status is None:
                shared.state.flink_silent()
            else:
                shared.state.flink_said(status)
        ended.wait(_REDRAW_S)


def _go_on(workers: list[Future[None]], deadline_s: float | None, stop: threading.Event) -> bool:
    """Waits until it is time for the next picture. False: the end, or a reader that has failed."""
    if any(worker.done() for worker in workers):
        return False
    if deadline_s is None:
        return not stop.wait(_REDRAW_S)
    return not stop.wait(max(0.0, min(_REDRAW_S, deadline_s - time.monotonic()))) and time.monotonic() < deadline_s


def _pictures(console: Console, where: Places, shared: _Shared, go_on: Callable[[], bool]) -> None:
    # Cropped and not scrolled: in a terminal that is too small the head stays where it is.
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            now_s, now_ms = time.monotonic(), time.time_ns() // 1_000_000
            with shared.lock:
                shared.state.tick(now_s)
                frame = picture(shared.state, where, now_s, now_ms)
            live.update(frame, refresh=True)
            if not go_on():
                return


def _lines(_console: Console, where: Places, shared: _Shared, go_on: Callable[[], bool]) -> None:
    for name, url in where:
        print(f"{name}  {url}", flush=True)
    due_s = time.monotonic() + _LINE_EVERY_S
    while go_on():
        now_s = time.monotonic()
        with shared.lock:
            shared.state.tick(now_s)
            text = line(shared.state, now_s, time.time_ns() // 1_000_000)
        if now_s >= due_s:
            print(text, flush=True)
            due_s += _LINE_EVERY_S
