"""Metrics, spans and events of a running job at an OpenTelemetry collector, by flink-conf/opentelemetry.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts.stack import Stack
from scripts.stack.paths import CONF
from tests.e2e.harness import RULES_ONLY, order, running_job, wait_until
from tests.e2e.otlp import collector

pytestmark = [pytest.mark.e2e, pytest.mark.unproven]


def test_a_collector_gets_metrics_and_spans_of_checkpoints_and_recoveries(tmp_path: Path) -> None:
    with collector() as found:
        text = (CONF / "opentelemetry.yaml").read_text().replace("http://127.0.0.1:4318", found.url)
        options = yaml.safe_load(text) | {"metrics.reporter.otel.interval": "1 s"}
        own = Stack(tmp_path / "stack", flink_options=options, short_lived=True)
        with own as stack, running_job(stack, "otel", tmp_path, *RULES_ONLY) as job:
            large = order(200_000)
            job.produce(job.topics.events, b"s-1", large.SerializeToString(), large.event_time_ms)
            wait_until(lambda: large.event_id in job.routed_ids("fraud-detection"), "the order")
            wait_until(lambda: any(each.endswith(".millrace.events") for each in found.metrics), "the job's own metrics")
            wait_until(lambda: any(each.name == "Checkpoint" for each in found.spans), "a checkpoint's span")
            stack.kill("taskmanager-1")
            stack.start_task_manager("taskmanager-1")
            wait_until(lambda: job.restarts() > 0, "the restart")
            wait_until(lambda: sum(each.name == "JobInitialization" for each in found.spans) > 1, "the recovery's span")
            wait_until(lambda: bool(found.events), "Flink's events")
    # Of events Flink 2.3.0 tells no service.
    assert (found.services["/v1/metrics"], found.services["/v1/traces"]) == ({"millrace"}, {"millrace"})
