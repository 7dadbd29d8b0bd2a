"""`scripts/dashboard`: a web page that shows what the job writes and how it is, live. See docs/dashboard.md."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import socket
import sys
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from jobs import baseline
from jobs.access import AccessError, NoAnswerError, require
from jobs.settings import Settings, Topics
from scripts import access
from scripts.dashboard_app.flink import FlinkWatch
from scripts.dashboard_app.readers import Readers, kafka_feed
from scripts.dashboard_app.shared import Shared
from scripts.dashboard_app.state import About
from scripts.dashboard_app.web import create_app
from scripts.outputs.flink import FlinkRest
from scripts.stack.paths import ROOT
from udfs.kafka_client import Brokers
from udfs.rules.language import InvalidRule


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/dashboard", description=__doc__)
    access.add_kafka(parser, "127.0.0.1:9092")
    parser.add_argument("--topic-prefix", default="", help="the job's --topic-prefix")
    parser.add_argument("--group-id", default="millrace", help="the job's --group-id, for its lag (default: millrace)")
    parser.add_argument("--flink", default="http://127.0.0.1:8081", help="Flink's REST interface (default: http://127.0.0.1:8081)")
    parser.add_argument("--job-id", help="this job only (default: the newest one named millrace)")
    parser.add_argument("--rules", default=Settings.rules, help="the job's --rules: the baseline's modes (default: rules)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; whoever reaches it may look (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="0: any (default: 8080)")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help="a name of this server besides localhost and addresses, behind a proxy; may be repeated")  # fmt: skip
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    brokers = Brokers(options.bootstrap, options.kafka_config)
    try:
        require(brokers, access.dashboard(Topics(options.topic_prefix), options.group_id))
    except NoAnswerError:
        pass  # the page says so, and it is waited for
    except AccessError as error:
        sys.exit(f"millrace: {error}")
    listener = _listen(options.host, options.port)
    url = f"http://{_shown(options.host)}:{listener.getsockname()[1]}"
    shared = Shared(About(options.bootstrap, options.flink.rstrip("/"), options.topic_prefix), _baseline(options.rules))
    feed = kafka_feed(shared, brokers, options.topic_prefix, options.group_id)
    server = Server(create_app(shared, options.allow_host))
    # The server gives a signal that ended it on to who had it before.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Readers(shared, feed, FlinkWatch(FlinkRest(options.flink), options.job_id)):
        print(f"Dashboard  {url}", flush=True)
        server.run([listener])


class Server(uvicorn.Server):
    """Ends at once: the stock one waits for the streams of the pages, which have no end."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2))
        self._hub = app.state.hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hub.close()
        super().handle_exit(sig, frame)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)  # the usual end


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; ends the program with one line if there is none to be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        sys.exit(f"millrace: can't listen at {host} port {port}: {error.strerror or error}; see --host and --port (0: any)")


def _shown(host: str) -> str:
    """As a browser takes it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)


def _baseline(folder: str) -> dict[str, str]:
    """The rules that the job starts with, for their modes; without them a mode is unknown."""
    try:
        return baseline.load(ROOT / folder, Settings.destinations)
    except (InvalidRule, OSError) as error:
        print(f"millrace: --rules {folder}: {error}: modes of the baseline's rules are not known", file=sys.stderr)
        return {}


if __name__ == "__main__":
    main()
