"""The manifests fit the operators' schemas, and the code: its options, its topics, its Flink configuration."""

from __future__ import annotations

import copy
import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from jobs import command_line
from jobs.settings import Settings, Topics
from scripts.stack import topics
from tests.deploy.manifests import KUBERNETES, OVERLAYS, PLACEHOLDER_JAR, ROOT, documents, faults, in_project, job_arguments, one, rendered

# Keys of flink-conf/config.yaml that have no place in the manifest, and why.
NOT_ON_KUBERNETES: Final = {
    "rest.address": "pods have addresses of their own", "rest.bind-address": "as above", "jobmanager.rpc.address": "as above",
    "jobmanager.bind-host": "as above", "taskmanager.host": "as above", "taskmanager.bind-host": "as above",
    "jobmanager.memory.process.size": "spec.jobManager.resource", "taskmanager.memory.process.size": "spec.taskManager.resource",
    "env.java.opts.client": "no client: the JobManager runs jobs/main.py",
}  # fmt: skip
DIFFERS: Final = "# Differs: "
HAS_LOGIN: Final = any(each.name == "kafka_config" for each in fields(Settings))


def flink_configuration() -> dict[str, str]:
    found: dict[str, str] = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"]["flinkConfiguration"]
    return found


def local_configuration() -> dict[str, str]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "flink-conf" / "config.yaml").read_text())
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}


def says_why(key: str) -> bool:
    """Whether the comment before a line of the manifest says why its value is not that of flink-conf/config.yaml."""
    lines = (KUBERNETES / "base" / "flink-deployment.yaml").read_text().splitlines()
    before = next(above.strip() for above, line in pairwise(lines) if line.startswith(f"    {key}:"))
    return before.startswith(DIFFERS) and len(before) > len(DIFFERS) + 20


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_fit_the_schemas(overlay: str) -> None:
    found = {f"{each['kind']} {each['metadata']['name']}": faults(each) for each in rendered(overlay)}
    assert {name: errors for name, errors in found.items() if errors} == {}
    assert {"FlinkDeployment millrace", "KafkaTopic events", "PodMonitor millrace", "Deployment millrace-dashboard"} <= found.keys()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "job", "upgradeMode"), "savepoints"),
        (("spec", "job", "argz"), []),
        (("spec", "flinkVersion"), "v2_9"),
        (("spec", "podTemplate", "spec", "securityContext", "runAsNonroot"), True),
        (("spec", "taskManager", "resource", "cpu"), "one"),
    ],
)
def test_the_schemas_find_slips(path: tuple[str, ...], value: object) -> None:
    deployment = copy.deepcopy(one(documents("base/flink-deployment.yaml"), "FlinkDeployment"))
    assert faults(deployment) == []
    part = deployment
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert any(path[-1] in fault or str(value) in fault for fault in faults(deployment)), faults(deployment)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_in_the_namespace_and_nothing_is_named_that_is_not_there(overlay: str) -> None:
    manifests = rendered(overlay)
    assert {each["metadata"].get("namespace") for each in manifests} == {"millrace-dev" if overlay == "dev" else "millrace"}
    spec = one(manifests, "FlinkDeployment")["spec"]
    pods = [spec["podTemplate"]["spec"], one(manifests, "Deployment", "millrace-dashboard")["spec"]["template"]["spec"]]
    there = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    from_strimzi = {each["metadata"]["name"] for each in manifests if each["kind"] == "KafkaUser"} | {"millrace-kafka-cluster-ca-cert"}
    for pod in pods:
        volumes = {each["name"] for each in pod.get("volumes", ())}
        mounts = {each["name"] for container in pod["containers"] for each in container.get("volumeMounts", ())}
        assert mounts == volumes
        for volume in pod.get("volumes", ()):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in there
            if "secret" in volume:
                assert volume["secret"]["secretName"] in from_strimzi
    assert ("ServiceAccount", spec["serviceAccount"]) in there


def test_the_job_is_run_as_flink_run_would() -> None:
    job = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"]["job"]
    driver, _ = job_arguments(one(documents("base/flink-deployment.yaml"), "FlinkDeployment"))
    assert job["entryClass"] == "org.apache.flink.client.python.PythonDriver"
    assert job["upgradeMode"] == "savepoint"
    assert dict(zip(driver[::2], driver[1::2], strict=True)).keys() == {"-pyclientexec", "-py"}
    assert in_project(driver[driver.index("-py") + 1]) == ROOT / "jobs" / "main.py"
    assert in_project(driver[driver.index("-py") + 1]).is_file()
    python = flink_configuration()["python.executable"]
    assert {driver[driver.index("-pyclientexec") + 1], flink_configuration()["python.client.executable"]} == {python}
    assert in_project(python).parent == ROOT / ".millrace" / "venv" / "bin"
    version = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"apache-flink==' in line).split("==")[1][:5]
    assert job["jarURI"] == f"{PLACEHOLDER_JAR}flink-python-{version}.jar"
    flink_version = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"]["flinkVersion"]
    assert flink_version == "v" + "_".join(version.split(".")[:2])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_jobs_options_are_those_of_the_settings(overlay: str) -> None:
    _, options = job_arguments(one(rendered(overlay), "FlinkDeployment"))
    if "--kafka-config" in options and not HAS_LOGIN:
        pytest.skip("--kafka-config is not an option of this job yet")
    if "--kafka-config" in options:  # its file is not here, and the settings read it
        at = options.index("--kafka-config")
        options = options[:at] + options[at + 2 :]
    settings = command_line.parse(Settings, options, prog="test", description="")
    assert settings.bootstrap.startswith("millrace-kafka-kafka-bootstrap:")


def test_flinks_keys_have_the_values_of_this_machines_or_say_why_not() -> None:
    local, here = local_configuration(), flink_configuration()
    different = {key for key in local.keys() & here.keys() if local[key].split() != here[key].split()}
    assert different == {key for key in local.keys() & here.keys() if says_why(key)}
    assert local.keys() - here.keys() <= NOT_ON_KUBERNETES.keys(), "add the key to flink-deployment.yaml, or say in the test why not"


def test_alerts_are_those_of_prometheus() -> None:
    rules = yaml.safe_load((ROOT / "flink-conf" / "prometheus" / "alerts.yaml").read_text())
    assert one(documents("base/monitoring.yaml"), "PrometheusRule")["spec"] == rules


def test_memory_is_this_machines_or_says_why_not() -> None:
    spec, local = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"], local_configuration()
    assert spec["taskManager"]["resource"]["memory"] == local["taskmanager.memory.process.size"]
    assert spec["jobManager"]["resource"]["memory"] != local["jobmanager.memory.process.size"], "then the comment can go"
    text = (KUBERNETES / "base" / "flink-deployment.yaml").read_text()
    assert re.search(r"# jobmanager.memory.process.size. Differs: .{20,}\n    resource:", text)


def test_what_the_job_sets_itself_is_not_set_again() -> None:
    own = set(re.findall(r'^ {8}"([a-z][\w.-]+)":', (ROOT / "jobs" / "main.py").read_text(), re.MULTILINE))
    assert "execution.checkpointing.interval" in own
    for overlay in OVERLAYS:
        assert own.isdisjoint(one(rendered(overlay), "FlinkDeployment")["spec"]["flinkConfiguration"])


def test_one_slot_for_each_task_manager_in_thread_mode() -> None:
    configuration = flink_configuration()
    assert (configuration["python.execution-mode"], configuration["taskmanager.numberOfTaskSlots"]) == ("thread", "1")
    assert configuration["classloader.parent-first-patterns.additional"] == "pemja"


@pytest.mark.parametrize(("overlay", "partitions", "copies", "more"), [("dev", 4, 1, {}), ("prod", 12, 3, {"min.insync.replicas": "2"})])
def test_topics_are_those_of_the_local_stack(overlay: str, partitions: int, copies: int, more: dict[str, str]) -> None:
    many, one_each = topics.layout(Topics())
    wanted = {name: (partitions, copies, config | more) for name, config in many.items()}
    wanted |= {name: (1, copies, config | more) for name, config in one_each.items()}
    found = {
        each["metadata"]["name"]: (each["spec"]["partitions"], each["spec"]["replicas"], each["spec"]["config"])
        for each in rendered(overlay)
        if each["kind"] == "KafkaTopic"
    }
    assert found == wanted


def test_the_autoscaler_stays_within_the_partitions() -> None:
    prod = rendered("prod")
    configuration = one(prod, "FlinkDeployment")["spec"]["flinkConfiguration"]
    assert int(configuration["job.autoscaler.vertex.max-parallelism"]) == one(prod, "KafkaTopic", "events")["spec"]["partitions"]
    assert int(configuration["pipeline.max-parallelism"]) >= int(configuration["job.autoscaler.vertex.max-parallelism"])


def test_metrics_go_where_the_monitor_looks() -> None:
    base = one(documents("base/flink-deployment.yaml"), "FlinkDeployment")["spec"]
    (container,) = base["podTemplate"]["spec"]["containers"]
    monitor = one(documents("base/monitoring.yaml"), "PodMonitor")["spec"]
    assert [(each["name"], str(each["containerPort"])) for each in container["ports"]] == [
        (monitor["podMetricsEndpoints"][0]["port"], base["flinkConfiguration"]["metrics.reporter.prom.port"])
    ]


@pytest.mark.parametrize("program", ["job", "dashboard"])
def test_logins_are_what_the_programs_read(program: str, tmp_path: Path) -> None:
    client = pytest.importorskip("udfs.kafka_client")
    if not hasattr(client, "Login"):
        pytest.skip("there is no --kafka-config yet")
    files = one(documents("components/kafka-login/logins.yaml"), "ConfigMap", "millrace-kafka-login")["data"]
    for name in ("kafka-ca/ca.crt", "kafka-user/password"):  # what Strimzi makes
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("made by Strimzi")
    path = tmp_path / "login.properties"
    path.write_text(files[f"{program}.properties"].replace("/etc/millrace", str(tmp_path)))
    login = client.Login(path)
    assert login.value("sasl.password") == "made by Strimzi"
    assert login.java()["security.protocol"] == "SASL_SSL"
    assert f'password="${{directory:{tmp_path}/kafka-user:password}}"' in login.java()["sasl.jaas.config"]
    assert login["sasl.username"] in {each["metadata"]["name"] for each in documents("components/kafka-login/users.yaml")}


def test_users_may_do_what_the_table_of_rights_says() -> None:
    access = pytest.importorskip("scripts.access", reason="the table of rights is not here yet")
    of_job = pytest.importorskip("jobs.access").of_job(Settings())
    needs = {
        "millrace-job": [of_job],
        "millrace-producer": [access.generator(Topics())],
        "millrace-author": [access.rules_author(Topics()), access.rules_tester(Topics())],
        "millrace-dashboard": [access.dashboard(Topics())],
        "millrace-warehouse": [access.warehouse(Topics())],
    }
    users = {each["metadata"]["name"]: each for each in documents("components/kafka-login/users.yaml")}
    assert users.keys() == needs.keys()
    for name, wanted in needs.items():
        found = {
            (acl["resource"]["type"], acl["resource"]["name"], acl["resource"].get("patternType", "literal"), operation)
            for acl in users[name]["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        }
        assert found == {right for each in wanted for right in rights(each)}, name


def rights(needs: Any) -> set[tuple[str, str, str, str]]:
    return {
        *(("topic", name, "literal", "Read") for name in needs.read),
        *(("topic", name, "literal", "Write") for name in needs.write),
        *(("topic", name, "literal", "Describe") for name in needs.describe),
        *(("group", name, "literal", "Read") for name in needs.groups),
        *(("group", name, "literal", "Describe") for name in needs.lag_of),
        *(("transactionalId", name, "prefix", "Write") for name in needs.transactions),
    }
