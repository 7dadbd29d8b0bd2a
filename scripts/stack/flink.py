"""A Flink cluster as its users see it: the REST interface, and Flink's own command line to submit with."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from scripts.stack import class_data, releases
from scripts.stack.errors import StackError
from scripts.stack.paths import FLINK_HOME, JAVA_HOME, PYTHON, ROOT, SITE_PACKAGES
from scripts.stack.processes import Running, wait_until

ENDED: Final = {"CANCELED", "FINISHED", "FAILED"}
FIRST_COMPILER: Final = "-XX:TieredStopAtLevel=1"
"""Option of a JVM that lives for minutes: the second compiler takes more than it gives in that time."""
_REST_TIMEOUT_S: Final = 10
# Without the environment's proxy, which knows nothing of this machine's ports.
_OPENER: Final = build_opener(ProxyHandler({}))


def environment(conf: Path, logs: Path) -> dict[str, str]:
    """The environment of Flink's scripts. `conf`: folder of config.yaml."""
    # Python's fault handler takes the JVM's own SIGSEGV, which it uses to check for null, for a crash; and PyFlink leaves the
    # folders of its own Flink, which has no connector, in the environment of a process that has used it.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONFAULTHANDLER" and not name.startswith("FLINK_")}
    return inherited | {
        "JAVA_HOME": str(JAVA_HOME),
        "FLINK_HOME": str(FLINK_HOME),
        "FLINK_CONF_DIR": str(conf),
        "FLINK_LOG_DIR": str(logs),
        "FLINK_PID_DIR": str(logs.parent),
        # Thread mode does not see a virtual environment's packages unless they stand here.
        "PYTHONPATH": str(SITE_PACKAGES),
    }


def with_jvm_options(variables: Mapping[str, str], options: Sequence[str]) -> dict[str, str]:
    """The environment of one of Flink's scripts, with more options of its JVM behind those that it has."""
    return {**variables, "JVM_ARGS": " ".join([*variables.get("JVM_ARGS", "").split(), *options])}


class NoSavepoint(StackError):
    """Flink could not make a savepoint; the job goes on."""


@dataclass(frozen=True)
class Flink:
    """One cluster.

    Attributes:
        urls: REST interfaces, one of each JobManager; whichever answers serves for the leader.
        environment: of Flink's command line.
        log: where the output of a failed command goes.
        where: options of `flink run` that name the cluster, if its configuration does not.
        watched: processes whose end ends all waiting.
        run: runs a command of Flink's command line in a folder, and returns its exit status and what it said; None: bin/flink does.
    """

    urls: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    where: tuple[str, ...] = ()
    watched: Callable[[], list[Running]] = list
    run: Callable[[Sequence[str], Path], tuple[int, str]] | None = None

    def rest(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        """Calls Flink's REST API.

        Raises:
            URLError: nobody answers; HTTPError: Flink refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        last = len(self.urls) - 1
        for index, url in enumerate(self.urls):
            request = Request(url + path, data, {"Content-Type": "application/json"}, method=method)
            try:
                with _OPENER.open(request, timeout=_REST_TIMEOUT_S) as response:
                    return json.loads(response.read() or b"null")
            except HTTPError as error:
                if error.code != 503 or index == last:  # 503: this JobManager knows no leader
                    raise
            except OSError:
                if index == last:
                    raise
        raise URLError("no REST interface is known")

    def command(self, *arguments: str, folder: Path = ROOT) -> str:
        """Runs Flink's own command line; returns its output. Raises StackError with the line that says why it failed."""
        status, output = (self.run or self._script)(arguments, folder)
        if status != 0:
            self.log.write_text(output)
            reasons = [line.strip() for line in output.splitlines() if re.search(r"(Error|Exception|error)\b.*:", line)]
            raise StackError(f"flink {arguments[0]}: {(reasons or ['failed'])[0][:300]} (log: {self.log})")
        return output

    def _script(self, arguments: Sequence[str], folder: Path) -> tuple[int, str]:
        archive: AbstractContextManager[list[str]] = class_data.of_client() if arguments[0] == "run" else nullcontext([])
        command = [str(FLINK_HOME / "bin" / "flink"), *arguments]
        try:
            with archive as options:
                environment = with_jvm_options(self.environment, options)
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=folder)
        except subprocess.CalledProcessError as failed:
            return failed.returncode, failed.stdout + failed.stderr
        return 0, done.stdout + done.stderr

    def submit(self, *arguments: str, savepoint: str | None = None, checkout: Path = ROOT) -> str:
        """Submits the job as a user would, `flink run -py jobs/main.py`; returns the job's id.

        Args:
            savepoint: path of the savepoint or checkpoint that it goes on from.
            checkout: whose code it is.
        """
        releases.keep(checkout)
        restored = () if savepoint is None else ("--fromSavepoint", savepoint)
        python = (f"-Dpython.client.executable={PYTHON}",) if self.where else ()
        output = self.command("run", "--detached", *self.where, *python, *restored, "-py", "jobs/main.py", *arguments, folder=checkout)
        found = re.search(r"JobID ([0-9a-f]{32})", output)
        if found is None:
            raise StackError(f"flink run named no job: {output[-300:]}")
        return found.group(1)

    # -- a job ----------------------------------------------------------------------------------------------------------

    def job_state(self, job_id: str) -> str:
        """The job's state as Flink names it, such as RUNNING."""
        return str(self.rest(f"/jobs/{job_id}")["state"])

    def checkpoints(self, job_id: str) -> int:
        """How many the job has completed since it was submitted."""
        return int(self.rest(f"/jobs/{job_id}/checkpoints")["counts"]["completed"])

    def restarts(self, job_id: str) -> int:
        """How often Flink has restarted the job."""
        metrics = self.rest(f"/jobs/{job_id}/metrics?get=numRestarts")
        return next((int(each["value"]) for each in metrics), 0)

    def wait_running(self, job_id: str, seconds: float = 90, restarts: int | None = None, *, checkpoint: bool = True) -> None:
        """Waits until every task of the job runs and one checkpoint is complete.

        Args:
            restarts: after so many it counts as one that will not run.
            checkpoint: False: not for the checkpoint.

        Raises:
            StackError: it does not, with the exception that keeps it from that.
        """

        def running() -> bool:
            try:
                job = self.rest(f"/jobs/{job_id}")
                if job["state"] in ENDED or (restarts is not None and self.restarts(job_id) >= restarts):
                    raise StackError(f"job {job_id} does not run ({job['state']}): {self.failure(job_id)}")
                every = all(task["status"] == "RUNNING" for task in job["vertices"])
                return every and (not checkpoint or self.checkpoints(job_id) > 0)
            except HTTPError:
                return False  # 500, while the JobManager makes ready what it has taken on

        try:
            wait_until(running, self.watched(), "the job", seconds)
        except StackError as error:
            if "was not ready" in str(error) and (failure := self.failure(job_id)):
                raise StackError(f"{error}: {failure}") from error
            raise

    def failure(self, job_id: str) -> str:
        """The innermost cause of what failed last, in one line; "" if nothing did."""
        try:
            history = self.rest(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
        except (OSError, KeyError):
            return ""
        return innermost(history[0]["stacktrace"]) if history else ""

    def stop_with_savepoint(self, job_id: str, seconds: float = 120, folder: str | None = None) -> str:
        """Stops the job so that `submit` can go on from there, at any parallelism; returns the path of the savepoint.

        All output up to it is committed. What Kafka gets meanwhile waits there. `folder`: None is what the cluster's configuration says.

        Raises:
            NoSavepoint: says why.
            StackError: there is none yet, for whatever reason.
        """
        path = self._savepoint(job_id, "stop", {"targetDirectory": folder, "drain": False}, seconds)
        self.wait_ended(job_id)
        return path

    def savepoint(self, job_id: str, seconds: float = 120, folder: str | None = None) -> str:
        """Makes a savepoint of a job, which goes on; returns its path. Raises StackError."""
        return self._savepoint(job_id, "savepoints", {"target-directory": folder, "cancel-job": False}, seconds)

    def _savepoint(self, job_id: str, kind: str, body: dict[str, Any], seconds: float) -> str:
        body = {name: value for name, value in body.items() if value is not None}
        trigger = self.rest(f"/jobs/{job_id}/{kind}", "POST", body)["request-id"]
        found: dict[str, Any] = {}

        def done() -> bool:
            found.update(self.rest(f"/jobs/{job_id}/savepoints/{trigger}"))
            return bool(found["status"]["id"] == "COMPLETED")

        wait_until(done, self.watched(), f"the savepoint of job {job_id}", seconds)
        outcome = found["operation"]
        if "failure-cause" in outcome:
            reason = str(outcome["failure-cause"].get("stack-trace") or outcome["failure-cause"].get("class"))
            raise NoSavepoint(f"job {job_id} has no savepoint, and goes on: {innermost(reason)}")
        return str(outcome["location"])

    def cancel(self, job_id: str) -> None:
        """Cancels the job and waits until it is gone; one that has ended already is left alone."""
        if self.job_state(job_id) in ENDED:
            return
        self.rest(f"/jobs/{job_id}", method="PATCH")
        self.wait_ended(job_id)

    def wait_ended(self, job_id: str, seconds: float = 60) -> None:
        """Waits for the job's end."""
        wait_until(lambda: self.job_state(job_id) in ENDED, [], "the job's end", seconds)


def innermost(stack_trace: str) -> str:
    """The line of a Java stack trace that names its first cause."""
    lines = [line.strip() for line in stack_trace.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else (lines or [""])[0])[:400]
