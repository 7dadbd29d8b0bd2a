"""`scripts/demo`: a simulated shop, Kafka, Flink and the job on this machine, and what comes out, live, here and on a web page.

Ends with Ctrl-C, or after --for seconds; nothing is left running. Everything it makes is under .millrace/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from scripts.demo_app import summary, watch
from scripts.stack import Stack, StackError
from scripts.stack.paths import PYTHON
from scripts.stack.processes import require_free, start, stop
from scripts.stack.up import WORKDIR, add_options, refuse_second


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    add_options(parser)
    parser.add_argument("--rate", type=int, default=2_000, help="events per second (default: 2000)")
    parser.add_argument("--for", type=float, dest="seconds", help="end after so many seconds (default: on Ctrl-C)")
    parser.add_argument("--port-dashboard", type=int, default=8080, help="port of the dashboard, 0: any (default: 8080)")
    parser.add_argument("--plain", action="store_true", help="one line every 5 s, and no live table (as without a terminal)")
    options = parser.parse_args()
    # A second Ctrl-C while things are being ended would leave them half ended.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        refuse_second()
        options.port_dashboard = require_free(options.port_dashboard, "dashboard", "--port-dashboard")
        shutil.rmtree(WORKDIR, ignore_errors=True)  # a new shop: yesterday's events would be read again
        stack = Stack(WORKDIR, options.parallelism, options.python_mode, kafka_port=options.port_kafka, ui_port=options.port_ui,
                      json_logs=options.json_logs, short_lived=True)  # fmt: skip
        print("Starting Kafka and Flink, and submitting the job: flink run -py jobs/main.py", file=sys.stderr)
        job_id = stack.up_with_job(meanwhile=lambda: _start_dashboard(stack, options.port_dashboard))
        try:
            _run(stack, job_id, options)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print("Ending Kafka and Flink", file=sys.stderr)
        finally:
            stack.down()
    except StackError as error:
        sys.exit(f"millrace: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _run(stack: Stack, job_id: str, options: argparse.Namespace) -> None:
    stack.cluster.wait_running(job_id, checkpoint=False)
    ledger, log = WORKDIR / "ledger", WORKDIR / "logs" / "generator.log"
    command = [str(PYTHON), "-m", "scripts.shop.generate", "--bootstrap", stack.bootstrap, "--rate", str(options.rate),
               "--fraud", "0.01", "--ledger", str(ledger), "--json"]  # fmt: skip
    generator = start("generator", command, os.environ, log, attached=True)
    stack.processes.append(generator)
    plain = options.plain or not sys.stdout.isatty()
    try:
        totals = watch(stack.bootstrap, stack.rest_url, job_id, options.seconds, plain, threading.Event(),
                       dashboard_url=_dashboard_url(options.port_dashboard))  # fmt: skip
    finally:
        stop([generator])
    print(summary(totals, _sent(log)))


def _start_dashboard(stack: Stack, port: int) -> None:
    """Before the job runs: it says itself what it waits for."""
    where = ("--bootstrap", stack.bootstrap, "--flink", stack.rest_url, "--port", str(port))
    command = [str(PYTHON), "-m", "scripts.dashboard_app.main", *where]
    stack.processes.append(start("dashboard", command, os.environ, WORKDIR / "logs" / "dashboard.log", attached=True))
    print(f"Dashboard: {_dashboard_url(port)}", file=sys.stderr)


def _dashboard_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _sent(log: Path) -> int | None:
    """How many events the generator says it has sent."""
    lines = log.read_text().strip().splitlines()
    try:
        return int(json.loads(lines[-1])["acked"])
    except (IndexError, KeyError, ValueError):
        return None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
