"""Stops a job with a savepoint and starts it from there, in another size or with other code; back to what it was if that fails."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import HTTPError

from scripts.control.output import CommandError
from scripts.job_app.cluster import JobInfo
from scripts.stack import StackError
from scripts.stack.flink import Flink, NoSavepoint, innermost
from scripts.stack.paths import PYTHON, ROOT

_RESTARTS = 3
_PARSE = "import sys; from jobs import main; main.parse(sys.argv[1:])"


@dataclass(frozen=True)
class Start:
    """What is to be started: code, options of jobs/main.py, and the savepoint or checkpoint that it goes on from (None: nothing)."""

    checkout: Path
    options: tuple[str, ...]
    savepoint: str | None

    def command(self, flink_urls: Sequence[str]) -> str:
        """The command that does it, for a person to type."""
        folder = "" if self.checkout == ROOT else f"cd {shlex.quote(str(ROOT))} && "
        code = () if self.checkout == ROOT else ("--from-dir", str(self.checkout))
        origin = ("--from", self.savepoint or "nothing")
        words = ("./scripts/millrace", "job", "start", "--flink", ",".join(flink_urls), *code, *origin, "--", *self.options)
        return folder + shlex.join(words)


@dataclass(frozen=True)
class Operator:
    """Does it, and says what it does by `say`."""

    flink: Flink
    wait_s: float
    say: Callable[[str], None]

    def start(self, start: Start) -> str:
        """Submits a job, and waits until it runs and has completed a checkpoint; returns its id.

        Raises:
            StartError: it does not run; it is left as it is.
        """
        try:
            job_id = self.flink.submit(*start.options, savepoint=start.savepoint, checkout=start.checkout)
        except StackError as error:
            raise StartError(str(error), None) from error
        try:
            self.flink.wait_running(job_id, self.wait_s, _RESTARTS)
        except (StackError, OSError) as error:
            raise StartError(str(error), job_id) from error
        return job_id

    def exchange(self, job: JobInfo, new: Start, old: Start | None, folder: str | None) -> str:
        """Stops `job` with a savepoint and starts `new` from it; returns the new job's id.

        Args:
            new, old: without their savepoint. `old` is what `job` is; None: its code is not at hand, so there is no way back.
            folder: of the savepoint; None: as the cluster's configuration says.

        Raises:
            CommandError: says where the savepoint is, what runs now, and by which command to go on if nothing does.
        """
        self.say(f"stopping job {job.job_id} with a savepoint")
        try:
            path = self.flink.stop_with_savepoint(job.job_id, self.wait_s, folder)
        except NoSavepoint as error:
            raise CommandError(f"{error}. Nothing was changed", 1) from error
        except (StackError, OSError) as error:
            raise CommandError(f"{error}. It may stop all the same: `scripts/millrace job list` shows it, and the savepoint", 1) from error
        self.say(f"savepoint {path}")
        new = replace(new, savepoint=path)
        old = old and replace(old, savepoint=path)
        resume = f"The savepoint is {path}. To go on from it: {(old or new).command(self.flink.urls)}"
        try:
            self.say(f"starting the code in {new.checkout}")
            return self.start(new)
        except StartError as error:
            raise CommandError(f"the new job does not run: {error}. {self._after(error.job_id, old, path, resume)}", 1) from error
        except KeyboardInterrupt:
            self.say(f"interrupted. {resume}")
            raise

    def _after(self, job_id: str | None, old: Start | None, path: str, resume: str) -> str:
        """Does what can be done about a new job that does not run; says what that was."""
        if not self._gone(job_id):
            # It has committed output behind the savepoint: to go back to that would write it again.
            return (f"It may have written output, so to go back to the savepoint {path} would double that: look at job {job_id} in the web "
                    "UI; stop it with a savepoint, or start it again from its newest checkpoint")  # fmt: skip
        if old is None:
            return resume
        self.say("it does not run: going back to what ran before")
        try:
            job_id = self.start(old)
        except StartError as error:
            return f"What ran before does not start either: {error}. {resume}"
        return f"Rolled back: what ran before goes on as job {job_id}, from {old.savepoint}; nothing is lost"

    def _gone(self, job_id: str | None) -> bool:
        """Ends a job that does not run; False if it has completed a checkpoint or nobody knows, and is left."""
        if job_id is None:
            return True
        try:
            if self.flink.checkpoints(job_id) > 0:
                return False
            self.flink.cancel(job_id)
        except HTTPError as error:
            return error.code == 404  # it never came to be
        except (StackError, OSError):
            return False
        return True


class StartError(Exception):
    """A job does not run. `job_id`: None if Flink did not even take it on."""

    def __init__(self, message: str, job_id: str | None) -> None:
        super().__init__(message)
        self.job_id = job_id


def check_options(checkout: Path, options: Sequence[str]) -> None:
    """Raises CommandError if the checkout's job does not take these options: before anything is stopped for it."""
    environment = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'proto'}", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [str(PYTHON), "-c", _PARSE, *options], env=environment, cwd=checkout, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise CommandError(f"the job in {checkout} does not start: {(lines or ['it ended'])[-1].rpartition(' error: ')[2]}", 1)


def flink_says(error: HTTPError) -> str:
    """What Flink gives as the reason of a refusal, in one line."""
    text = error.read().decode(errors="replace")
    return f"{error.code} {error.reason}: {innermost(text.replace(chr(92) + 'n', chr(10)))[:300]}"
