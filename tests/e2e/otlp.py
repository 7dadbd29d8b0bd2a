"""An OpenTelemetry collector that keeps what it is sent: OTLP over HTTP, in protobuf."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What has arrived so far."""

    def __init__(self) -> None:
        self.services: dict[str, set[str]] = {}  # path -> service.name of who sent
        self.metrics: set[str] = set()
        self.spans: list[Span] = []
        self.events: list[LogRecord] = []
        self.url = ""

    def take(self, path: str, body: bytes) -> None:
        """One request."""
        match path:
            case "/v1/metrics":
                for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self._source(path, metrics.resource.attributes)
                    self.metrics.update(each.name for scope in metrics.scope_metrics for each in scope.metrics)
            case "/v1/traces":
                for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self._source(path, spans.resource.attributes)
                    self.spans.extend(each for scope in spans.scope_spans for each in scope.spans)
            case "/v1/logs":
                for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                    self._source(path, logs.resource.attributes)
                    self.events.extend(each for scope in logs.scope_logs for each in scope.log_records)
            case _:
                raise ValueError(path)

    def _source(self, path: str, attributes: Iterable[KeyValue]) -> None:
        self.services.setdefault(path, set()).update(each.value.string_value for each in attributes if each.key == "service.name")


@contextmanager
def collector() -> Iterator[Collector]:
    """Listens on a free port while the block runs."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
