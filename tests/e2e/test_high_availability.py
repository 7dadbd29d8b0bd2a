"""With a standby, the death of the JobManager that leads is nobody's work: the job goes on by itself, and nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.control.main import main
from scripts.stack import Stack
from tests.e2e.harness import RULES_ONLY, running_job, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture
def available(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "stack", standbys=1, short_lived=True) as running:
        yield running


def test_a_standby_takes_over(available: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledgers").mkdir()
    # First a job that needs few modules. In thread mode the interpreter stays, and the folder of the code that it has imported goes with
    # the job: what the next one imports first must be found all the same.
    with running_job(available, "some", tmp_path, "--no-heartbeat", "--no-sales", "--no-fraud", "--no-recommendations"):
        pass
    load = ("--rate", "500", "--for", "600", "--seed", "9", "--duplicates", "0.02", "--malformed", "0.01")
    with running_job(available, "available", tmp_path / "ledgers", *RULES_ONLY) as job:
        with job.generating(*load) as ledger:
            wait_until(lambda: len(job.routed_ids("session-activity")) > 500, "output before")
            assert job.restarts() == 0, "all modules were found"
            leader = available.leader()
            assert leader is not None
            available.kill(leader)
            written = len(job.routed_ids("session-activity"))
            wait_until(lambda: available.leader() is not None, "another leader")
            available.cluster.wait_running(job.job_id)
            wait_until(lambda: len(job.routed_ids("session-activity")) > written + 1000, "output after", 180)
            # The killed one comes back as a standby: the job has one leader, and the command line finds it at either address.
            available.start_job_manager(leader)
            assert main(["job", "list", "--flink", ",".join(available.cluster.urls)]) == 0
            assert f"{job.job_id}  RUNNING" in capsys.readouterr().out
        job.verify(ledger)
