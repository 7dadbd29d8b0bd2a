"""The job as flink-conf/kubernetes runs it: in application mode, with the manifest's command and Flink configuration.

What only a Kubernetes has is left out: its high availability, the operator, pods. All else is the manifest's, with this machine's addresses
and folders in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from jobs.settings import Topics
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from scripts.stack.processes import free_port
from tests.deploy.manifests import documents, one
from tests.e2e.harness import Job, order, wait_until

pytestmark = pytest.mark.e2e

_ONLY_THERE = ("kubernetes.", "job.autoscaler.", "high-availability.")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Job, int]]:
    """The running job, and the first of ten ports at which its processes may answer Prometheus."""
    folder = tmp_path_factory.mktemp("application")
    deployment = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"]
    port = free_port()
    options = {
        key: value.replace("/opt/millrace", str(ROOT)).replace("/state", str(folder)).replace("/scratch", str(folder))
        for key, value in deployment["flinkConfiguration"].items()
        if not key.startswith(_ONLY_THERE)
    } | {
        "metrics.reporter.prom.port": f"{port}-{port + 9}",  # the manifest's is each pod's own
        "jobmanager.memory.process.size": deployment["jobManager"]["resource"]["memory"],
        "taskmanager.memory.process.size": deployment["taskManager"]["resource"]["memory"],
    }
    stack = Stack(folder, flink_options=options)
    try:
        stack.up_kafka()
        stack.create_topics()
        arguments = [each.replace("/opt/millrace", str(ROOT)) for each in deployment["job"]["args"]]
        arguments[arguments.index("--bootstrap") + 1] = stack.bootstrap
        job_id = stack.start_application(deployment["job"]["entryClass"], *arguments)
        yield Job(stack, Topics(), job_id, folder, parallelism=1), port
    finally:
        stack.down()


def test_an_order_comes_out(application: tuple[Job, int]) -> None:
    job, _ = application
    large = order(200_000)
    job.produce(job.topics.events, b"s-1", large.SerializeToString(), large.event_time_ms)
    wait_until(lambda: large.event_id in job.routed_ids("fraud-detection"), "the order")
    assert job.restarts() == 0


def test_metrics_that_alerts_are_made_of_are_published(application: tuple[Job, int]) -> None:
    """A misspelt metric would be an alert that never comes."""
    job, port = application
    alerts = one(documents("base/monitoring.yaml"), "PrometheusRule")["spec"]["groups"][0]["rules"]
    wanted = {name for alert in alerts for name in re.findall(r"flink_\w+", alert["expr"])}
    assert len(wanted) >= 7
    missing = set(wanted)

    def all_there() -> bool:
        for _ in range(64):  # a rule's counters are published after so many events
            event = order(200_000)
            job.produce(job.topics.events, b"s-1", event.SerializeToString(), event.event_time_ms)
        text = "".join(scraped(each) for each in range(port, port + 10))
        missing.difference_update(re.findall(r"^(flink_\w+)", text, re.MULTILINE))
        return not missing

    try:
        wait_until(all_there, "all metrics")
    except AssertionError:
        assert missing == set()


def scraped(port: int) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
    except (URLError, OSError):
        return ""
