"""Whether today's code costs more CPU time for each event than that of another revision: `scripts/bench --against REV`, and in every run of
all tests against the commit before (scripts/run_tests.py).

Both run side by side in processes of their own, in turns of some milliseconds, so that whatever else the machine does hits both alike. CPU
time, not wall time. It has cost more only if that holds by the least of the turns, by the median of the pairs, and again in new processes.
"""

from __future__ import annotations

import io
import os
import pickle
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.baseline import load
from jobs.settings import Topics
from scripts.shop.simulator import Settings, Shop
from scripts.stack.paths import ROOT
from udfs import batches
from udfs.rules.language import InvalidRule

LIMIT: Final = 1.25
"""Identical code gives 0.93 to 1.04 on a busy machine (docs/benchmarks.md)."""
TRAILER: Final = "Costs-more"
_EVENTS: Final = 4_000
_BATCH: Final = 64
_TURNS: Final = 40
_TRIES: Final = 3
_START_MS: Final = 1_793_491_200_000
_TREE: Final = ("udfs", "proto", "rules")


class NotComparable(Exception):
    """There is nothing to compare with, or it can't be run; says why."""


@dataclass(frozen=True)
class Turns:
    """CPU nanoseconds of each pass of the old code, and of the pass of the new code right after or before it."""

    old: Sequence[int]
    new: Sequence[int]

    def ratio(self) -> float:
        """New / old; of two ways to say it, the one that is better for the new code."""
        pairs = statistics.median(new / old for old, new in zip(self.old, self.new, strict=True))
        return min(pairs, min(self.new) / min(self.old))


@dataclass(frozen=True)
class Verdict:
    """What came out, with one line for people."""

    ok: bool
    line: str


def judge(ratios: Sequence[float], revision: str, us_per_event: float, excuse: str) -> Verdict:
    """The least ratio counts. `excuse`: what the trailer says, if there is one."""
    ratio = min(ratios)
    line = f"{us_per_event:.1f} us of CPU time per event in Python, {ratio:.2f} of {revision}"
    if ratio <= LIMIT:
        return Verdict(True, line)
    if excuse:
        return Verdict(True, f"{line}; meant: {excuse}")
    return Verdict(False, f"{line}, more than {LIMIT}. If that is meant, say why in the commit message: '{TRAILER}: why'")


def check(revision: str = "HEAD^", root: Path = ROOT) -> Verdict:
    """Compares the working tree with a revision.

    Raises:
        NotComparable: no git, no such revision, or code that this can't drive.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    excuse = " ".join(_git(root, "log", f"--format=%(trailers:key={TRAILER},valueonly,separator=; )", f"{commit}..HEAD").decode().split())
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", commit, *_TREE))) as archive:
            archive.extractall(old, filter="data")
        given = Path(folder) / "given"
        try:
            rules = tuple(load(old / "rules", Topics().destinations).values())  # both run the older rules: new ones are no slower code
        except (InvalidRule, OSError) as error:
            raise NotComparable(f"the rules of {revision} are not read any more: {error}") from error
        events = _events(_EVENTS)
        packed = [batches.pack(*events[first : first + _BATCH]) for first in range(0, len(events), _BATCH)]
        given.write_bytes(pickle.dumps((rules, Topics().destinations, packed)))
        ratios: list[float] = []
        least_ns = 0
        while len(ratios) < _TRIES and (not ratios or ratios[-1] > LIMIT):
            turns = _compare(old, root, given)
            ratios.append(turns.ratio())
            least_ns = min(turns.new)
    return judge(ratios, revision, least_ns / len(events) / 1_000, excuse)


def _events(count: int) -> list[batches.Record]:
    """Events of the simulated shop, some of them broken."""
    shop = Shop(Settings(seed=1, start_ms=_START_MS, sessions=300))
    records = shop.records(_START_MS + number for number in range(count)) + shop.drain()
    return [batches.Record(each.value or b"", 0, number, each.timestamp_ms) for number, each in enumerate(records)]


def _compare(old: Path, new: Path, given: Path) -> Turns:
    with ExitStack() as stack:
        sides = [stack.enter_context(_Side(tree, given)) for tree in (old, new)]
        for side in sides:
            side.turn()  # the first pass compiles rules and fills caches
        taken: list[list[int]] = [[], []]
        for turn in range(_TURNS):
            for index in (0, 1) if turn % 2 else (1, 0):
                taken[index].append(sides[index].turn())
    return Turns(*taken)


class _Side:
    """One of the two processes."""

    def __init__(self, tree: Path, given: Path) -> None:
        path = os.pathsep.join((str(tree), str(tree / "proto")))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0"}
        command = [sys.executable, str(Path(__file__).with_name("hot_path.py")), str(given)]
        self._process = subprocess.Popen(
            command, cwd=given.parent, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Side:
        if self._answer() != "ready":
            self.__exit__()
            raise NotComparable("its code can't be driven by this one's scripts/benchmark/hot_path.py")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def turn(self) -> int:
        """One pass over all events; nanoseconds of CPU time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._answer()
        if not answer.isdigit():
            raise NotComparable("one of the two ended before its time")
        return int(answer)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise NotComparable("git is not here") from error
    except subprocess.CalledProcessError as error:
        raise NotComparable(f"git {arguments[0]}: {error.stderr.decode().strip() or 'there is no such revision'}") from error
    return done.stdout
