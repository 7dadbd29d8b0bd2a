"""The job as flink-conf/kubernetes runs it: in application mode, with the manifest's command and Flink configuration.

What only a Kubernetes has is left out: its high availability, the operator, pods. All else is the manifest's, with this machine's addresses
and folders in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.settings import Topics
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.deploy.manifests import documents, one
from tests.e2e.harness import Job, order, wait_until

pytestmark = pytest.mark.e2e

_ONLY_THERE = ("kubernetes.", "job.autoscaler.", "high-availability.")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    folder = tmp_path_factory.mktemp("application")
    deployment = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"]
    options = {
        key: value.replace("/opt/millrace", str(ROOT)).replace("/state", str(folder)).replace("/scratch", str(folder))
        for key, value in deployment["flinkConfiguration"].items()
        if not key.startswith(_ONLY_THERE)
    } | {
        "jobmanager.memory.process.size": deployment["jobManager"]["resource"]["memory"],
        "taskmanager.memory.process.size": deployment["taskManager"]["resource"]["memory"],
    }  # fmt: skip
    stack = Stack(folder, flink_options=options, short_lived=True)
    try:
        stack.up_kafka()
        stack.create_topics()
        arguments = [each.replace("/opt/millrace", str(ROOT)) for each in deployment["job"]["args"]]
        arguments[arguments.index("--bootstrap") + 1] = stack.bootstrap
        job_id = stack.start_application(deployment["job"]["entryClass"], *arguments)
        yield Job(stack, Topics(), job_id, folder, parallelism=1)
    finally:
        stack.down()


def test_an_order_comes_out(application: Job) -> None:
    job = application
    large = order(200_000)
    job.produce(job.topics.events, b"s-1", large.SerializeToString(), large.event_time_ms)
    wait_until(lambda: large.event_id in job.routed_ids("fraud-detection"), "the order")
    assert job.restarts() == 0
