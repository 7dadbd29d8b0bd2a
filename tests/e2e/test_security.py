"""The job and its programs on a Kafka that lets nobody in without TLS, a password and ACLs (flink-conf/kafka-secured.properties).

Flink is that of the other tests; Kafka is one of its own, with a listener whose certificate has expired.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from jobs.access import Needs, of_job
from jobs.settings import Settings, Topics
from scripts import access
from scripts.control.reading import existing_topics
from scripts.stack import Stack, StackError, jars, secured
from scripts.stack.paths import PYTHON, ROOT
from tests.e2e.harness import AGREED, IDLE_MS, wait_until

pytestmark = pytest.mark.e2e

PREFIX = "secured."
TOPICS = Topics(prefix=PREFIX)
GROUP = "secured"
DESTINATIONS = ("orders", "payments", "session-activity", "fraud-detection", "campaign.*")
GRANTED = {
    "job": of_job(Settings(topic_prefix=PREFIX, group_id=GROUP, destinations=DESTINATIONS)),
    "shop": access.generator(TOPICS),
    "checker": access.checker(TOPICS),
    "author": access.rules_author(TOPICS),
    "viewer": access.dashboard(TOPICS, GROUP),
    "nobody": Needs(),
}
PROGRAMS = {
    "generate": ("scripts.shop.generate", "--no-ledger", "--events", "1"),
    "push": ("scripts.control.main", "rules", "push", "rules/high-value-orders.yaml"),
    "verify": ("scripts.checker.verify",),
    "dashboard": ("scripts.dashboard_app.main", "--port", "0"),
    "warehouse": ("scripts.warehouse_app.main", "--database", "postgresql://nobody@127.0.0.1:1/none"),
    "job": ("jobs.main",),
}


@dataclass
class Secured:
    """A secured Kafka, and the job on it.

    `secrets`: name -> what must be seen nowhere.
    """

    kafka: Stack
    flink: Stack
    folder: Path
    secrets: dict[str, str]
    job_id: str = ""
    ledgers: list[Path] = field(default_factory=list)

    @property
    def expired(self) -> str:
        """The listener whose certificate has expired."""
        return f"127.0.0.1:{self.kafka.nodes()[0].expired_port}"

    def login(self, user: str, password: str | None = None) -> str:
        assert self.kafka.security is not None
        return str(self.kafka.security.login(user, password, f"{user}-wrong" if password else ""))

    def start(self, program: str, login: str, *arguments: str, bootstrap: str = "") -> subprocess.Popen[str]:
        """Starts a program as `login`."""
        where = ("--bootstrap", bootstrap or self.kafka.bootstrap, "--kafka-config", login, "--topic-prefix", PREFIX)
        command = [str(PYTHON), "-m", *PROGRAMS[program], *arguments, *where]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, program: str, user: str, *arguments: str) -> str:
        """Runs a program of a user to its end; returns its output."""
        output, errors = (process := self.start(program, self.login(user), *arguments)).communicate()
        assert process.returncode == 0, (program, output[-3000:], errors[-3000:])
        return output

    def submit(self, login: str, bootstrap: str = "") -> str:
        """`flink run`; returns the job's id."""
        mask_key = self.folder / "mask-key"
        mask_key.write_text(self.secrets["mask key"])
        return self.flink.submit(
            "--bootstrap", bootstrap or self.kafka.bootstrap, "--kafka-config", login, "--topic-prefix", PREFIX, "--group-id", GROUP,
            "--destinations", ",".join(DESTINATIONS), "--mask-key-file", str(mask_key), "--idle-ms", str(IDLE_MS),
            "--checkpoint-interval-ms", "1000", *AGREED,
        )  # fmt: skip

    def pass_events(self, seed: int, *options: str) -> None:
        """Some seconds of the simulated shop go in, and all that they must lead to has come out."""
        ledger = self.folder / f"ledger-{seed}"
        self.ledgers.append(ledger)
        command = ("scripts.shop.generate", "--ledger", str(ledger), "--rate", "1500", "--for", "5", "--seed", str(seed))
        where = ("--bootstrap", self.kafka.bootstrap, "--topic-prefix", PREFIX)
        _run(*command, *where, "--kafka-config", self.login("shop"))
        given = [word for each in self.ledgers for word in ("--ledger", str(each))]
        _run("scripts.checker.verify", *where, "--kafka-config", self.login("checker"), *given, *AGREED, "--wait", "120", *options)

    def restarts(self) -> int:
        return int(self.flink.rest(f"/jobs/{self.job_id}/metrics?get=numRestarts")[0]["value"])

    def refusals(self, what: str) -> int:
        """How often the broker has refused something so far, by its log."""
        return Path(self.kafka.process("kafka").log).read_text().count(what)


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[:6000]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    jars.ensure()
    folder = tmp_path_factory.mktemp("secured")
    kafka = Stack(folder / "kafka", secured_users=tuple(GRANTED))
    try:
        kafka.up_kafka()
        kafka.create_topics(TOPICS, partitions=2)
        for user, needs in GRANTED.items():
            if needs != Needs():
                secured.grant(kafka.admin, user, needs)
        assert kafka.security is not None
        hidden = {f"password of {user}": password for user, password in kafka.security.users.items()}
        running = Secured(kafka, stack, folder, hidden | {"mask key": secrets.token_hex(32)})
        running.job_id = running.submit(running.login("job"))
        stack.wait_running(running.job_id)
        yield running
        stack.cancel(running.job_id)
    finally:
        kafka.down()


def test_the_documented_acls_are_enough(site: Secured, tmp_path: Path) -> None:
    """For the job, the generator, the checker and the rules' control plane, each as a user of its own."""
    site.pass_events(5, "--windows-closed", "all")
    assert site.restarts() == 0
    masking = {
        "id": "masking", "version": 1, "mode": "shadow", "when": {"events": ["payment_failed"]},
        "to": [{"topic": "campaign.hidden", "order": "none", "mask": ["user_id"]}],
    }  # fmt: skip
    (tmp_path / "masking.yaml").write_text(json.dumps(masking))
    told = site.run("push", "author", str(tmp_path / "masking.yaml"), "--destinations", ",".join(DESTINATIONS))
    assert "campaign.hidden: there was no such topic, the job makes it" in told  # exit code 0: every subtask has accepted it
    assert f"{PREFIX}campaign.hidden" in existing_topics(site.kafka.admin)
    assert site.refusals("is Denied") == 0


def test_the_dashboard_reads_with_its_acls_and_listens_on_loopback(site: Secured) -> None:
    process = site.start("dashboard", site.login("viewer"), "--flink", site.flink.rest_url, "--group-id", GROUP)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first, process.stderr.read()
        url = first.split()[-1]
        wait_until(lambda: bool(_health(url)["kafka"]), "Kafka's answer")
        assert _listening(process.pid) == {"127.0.0.1"}
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _health(url: str) -> dict[str, object]:
    with urlopen(f"{url}/healthz", timeout=10) as answer:
        return dict(json.loads(answer.read()))


def test_secrets_are_nowhere_to_be_read(site: Secured) -> None:
    """In what Flink tells over REST, in logs, checkpoints and job graphs on disk, and in the arguments of any process."""
    told = {path: json.dumps(site.flink.rest(path)) for path in _rest_paths(site)}
    assert "decode-and-route" in told[f"/jobs/{site.job_id}/plan"]
    for process in psutil.process_iter(["pid", "cmdline"]):
        told[f"arguments of {process.info['pid']}"] = " ".join(process.info["cmdline"] or ())
    found = [(name, place) for place, text in told.items() for name, text_of in _spellings(site) if text_of in text]
    assert found == []

    # All that Flink has on disk but the states of other tests' jobs, which end before this one begins; not the Kafka that asks for nothing.
    told_on_disk = [path for path in site.flink.workdir.iterdir() if path.name not in ("kafka", "checkpoints", "savepoints")]
    folders = (*told_on_disk, site.flink.workdir / "checkpoints" / site.job_id, site.kafka.workdir / "logs")
    assert _files_with(["decode-and-route"], *folders), "logs and checkpoints are there"
    assert _files_with([spelling for _, spelling in _spellings(site)], *folders) == []


def _files_with(texts: list[str], *folders: Path) -> list[str]:
    """By grep: Python would read half a gigabyte once for each text."""
    command = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings", "--file=-", *map(str, folders)]
    done = subprocess.run(command, input="\n".join(texts), capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"})
    # The job goes on meanwhile, and files of a checkpoint that was being made go when it is done.
    gone = [line.endswith("No such file or directory") for line in done.stderr.splitlines()]
    assert done.returncode in (0, 1) or (done.returncode == 2 and gone and all(gone)), done.stderr
    assert all(folder.exists() for folder in folders)
    return done.stdout.splitlines()


def _spellings(site: Secured) -> list[tuple[str, str]]:
    """Each secret as it is, and as it looks in base64 wherever it begins."""
    found = []
    for name, secret in site.secrets.items():
        found.append((name, secret))
        for shift in range(3):
            encoded = base64.b64encode(b" " * shift + secret.encode()).decode()
            found.append((f"{name}, base64", encoded[4:-4]))
    return found


def _rest_paths(site: Secured) -> list[str]:
    managers = [each["id"] for each in site.flink.rest("/taskmanagers")["taskmanagers"]]
    job = f"/jobs/{site.job_id}"
    vertices = [f"{job}/vertices/{each['id']}" for each in site.flink.rest(job)["vertices"]]
    return [
        "/config", "/jobmanager/config", "/jobmanager/environment", "/jobmanager/logs", "/jobs/overview", job, f"{job}/config",
        f"{job}/plan", f"{job}/jobmanager/config", f"{job}/jobmanager/environment", f"{job}/exceptions", f"{job}/checkpoints",
        f"{job}/accumulators", *vertices, *(f"/taskmanagers/{each}" for each in managers),
    ]  # fmt: skip


def test_flink_listens_on_loopback_only(site: Secured) -> None:
    """But for Prometheus' ports, which only tell numbers and names: Flink's reporter can't be bound to an address."""
    told = frozenset(site.flink.metrics_ports.values())
    for each in site.flink.processes:
        addresses = _listening(each.pid, told)
        assert addresses, each
        assert all(ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback for address in addresses), (each, addresses)


def test_flink_gives_pages_from_elsewhere_nothing_and_takes_no_programs_from_a_browser(site: Secured) -> None:
    with urlopen(f"{site.flink.rest_url}/config", timeout=10) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1"
    with pytest.raises(HTTPError, match="404"):
        site.flink.rest("/jars/upload", "POST")


def _listening(pid: int, but: frozenset[int] = frozenset()) -> set[str]:
    """The addresses at which a process and its children listen, other than at the ports `but`."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    connections = [connection for process in family for connection in process.net_connections("tcp")]
    return {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN and each.laddr.port not in but}


WRONG = "not-the-password"
FAULTS = {
    "password": r"Kafka at \S+ refuses user 'job': is the password right\? \(Authentication failed",
    "acl": r"Kafka at \S+ does not grant user 'nobody': .*(READ|WRITE) on .*secured\.",
    "certificate": r"Kafka at \S+: its certificate is refused: certificate has expired",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_program_says_in_one_line_what_is_refused_and_ends(site: Secured, fault: str) -> None:
    login = site.login("nobody") if fault == "acl" else site.login("job", WRONG if fault == "password" else None)
    bootstrap = site.expired if fault == "certificate" else site.kafka.bootstrap
    before = site.refusals("Failed authentication")
    processes = {name: site.start(name, login, bootstrap=bootstrap) for name in PROGRAMS}
    for name, process in processes.items():
        output, errors = process.communicate()
        lines = [line for line in errors.splitlines() if "Kafka at" in line]
        assert process.returncode not in (0, None), (name, output, errors)
        assert len(lines) == 1, (name, output, errors)
        assert re.search(FAULTS[fault], lines[0]), (name, lines)
        assert "Traceback" not in errors, (name, errors)
        assert WRONG not in output + errors, name
    assert site.refusals("Failed authentication") - before <= 3 * len(PROGRAMS), "no retry storm"


def test_flink_run_ends_with_that_line_and_submits_nothing(site: Secured) -> None:
    before = len(site.flink.rest("/jobs/overview")["jobs"])
    with pytest.raises(StackError):
        site.submit(site.login("job", WRONG))
    client = (site.flink.workdir / "flink-client.log").read_text()
    assert re.search(FAULTS["password"], client), client[-3000:]
    assert len(site.flink.rest("/jobs/overview")["jobs"]) == before


def test_an_acl_that_is_taken_away_stops_the_job_until_it_is_back(site: Secured) -> None:
    """The exception names the topic; the job tries again at growing distances; nothing is lost."""
    lost = Needs(read=(TOPICS.events,))
    restarts, denied = site.restarts(), site.refusals("is Denied")
    secured.revoke(site.kafka.admin, "job", lost)
    try:
        wait_until(lambda: site.restarts() >= restarts + 2, "two restarts")
        causes = json.dumps(site.flink.rest(f"/jobs/{site.job_id}/exceptions"))
        assert "Not authorized to access topics: [secured.events" in causes, causes[:3000]
    finally:
        secured.grant(site.kafka.admin, "job", lost)
    site.pass_events(6)
    tried = site.restarts() - restarts
    assert site.refusals("is Denied") - denied <= 50 * tried, "no retry storm"
