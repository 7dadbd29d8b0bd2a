"""`scripts/up`: Kafka, Flink and the job, without the generator; they go on running until `scripts/down`."""

from __future__ import annotations

import argparse
import shutil
import sys

from scripts.stack.errors import StackError
from scripts.stack.paths import FLINK_HOME, STATE
from scripts.stack.stack import Stack

WORKDIR = STATE / "run"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that up and demo share."""
    parser.add_argument("--parallelism", type=int, default=1, help="TaskManagers, and parallelism of the job (default: 1)")
    parser.add_argument("--python-mode", choices=("thread", "process"), default="thread", help="how Flink runs Python (default: thread)")
    parser.add_argument("--port-ui", type=int, default=8081, help="port of the Flink web UI, 0: any (default: 8081)")
    parser.add_argument("--json-logs", action="store_true", help="Flink logs JSON, one object a line")
    parser.add_argument("--port-kafka", type=int, default=9092, help="port of Kafka, 0: any (default: 9092)")


def refuse_second() -> None:
    """Raises StackError if a stack already runs in .millrace/run."""
    running = Stack.load(WORKDIR)
    if running is not None and running.processes:
        raise StackError("a stack is already running here: end it with scripts/down")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/up", description=__doc__)
    add_options(parser)
    parser.add_argument("--no-job", action="store_true", help="only Kafka, its topics, and Flink")
    options = parser.parse_args()
    try:
        refuse_second()
        shutil.rmtree(WORKDIR, ignore_errors=True)  # a job without state would read yesterday's events again
        stack = Stack(WORKDIR, options.parallelism, options.python_mode, {}, options.port_kafka, options.port_ui, attached=False,
                      json_logs=options.json_logs)  # fmt: skip
        if options.no_job:
            stack.up()
            stack.create_topics()
        else:
            stack.wait_running(stack.up_with_job())
    except StackError as error:
        sys.exit(f"millrace: {error}")
    rows = {
        "Flink web UI": stack.rest_url,
        "Kafka": stack.bootstrap,
        "FLINK_HOME": FLINK_HOME,
        "Metrics": f"{stack.prometheus_targets} (targets for Prometheus)",
        "Dashboard": f"scripts/dashboard --bootstrap {stack.bootstrap} --flink {stack.rest_url}",
        "End it with": "scripts/down",
    }
    print("\n".join(f"{name:<14}{value}" for name, value in rows.items()))


if __name__ == "__main__":
    main()
