"""Whether code that has become slower is found, and code that has not is left alone: by given times, and on a repository of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.benchmark import regression
from scripts.benchmark.regression import LIMIT, NotComparable, Turns, check, judge
from scripts.stack.paths import ROOT


@pytest.mark.parametrize(
    ("old", "new", "ratio"),
    [
        ([100, 100, 100], [150, 150, 150], 1.5),
        ([100, 100, 100], [150, 100, 150], 1.0),  # the least is as before: the others were disturbed
        ([100, 200, 300], [150, 190, 290], 0.97),  # one turn alone was undisturbed
        ([200, 100, 200], [100, 100, 100], 0.5),
    ],
)
def test_the_better_of_two_views_counts(old: list[int], new: list[int], ratio: float) -> None:
    assert Turns(old, new).ratio() == pytest.approx(ratio, abs=0.01)


def test_slower_by_every_try_is_slower_unless_it_is_meant() -> None:
    assert judge([1.4, LIMIT], "HEAD^", 5.0, "").ok
    slower = judge([1.4, 1.3, 1.5], "HEAD^", 5.0, "")
    assert not slower.ok
    assert slower.line == (
        "5.0 us of CPU time per event in Python, 1.30 of HEAD^, more than 1.25. "
        "If that is meant, say why in the commit message: 'Costs-more: why'"
    )
    meant = judge([1.4, 1.3, 1.5], "HEAD^", 5.0, "masks are checked twice")
    assert meant.ok
    assert meant.line.endswith("meant: masks are checked twice")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Python does for every event, as one commit; a few short turns are enough for a difference as large as here."""
    monkeypatch.setattr(regression, "_TURNS", 6)
    monkeypatch.setattr(regression, "_EVENTS", 1_000)
    folder = tmp_path / "repository"
    for name in ("udfs", "proto", "rules"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def slow_down(folder: Path) -> None:
    path = folder / "udfs" / "facts.py"
    head, body = path.read_text().split("    pack = _PACKERS.get(event_type)", 1)
    path.write_text(head + "    sum(range(2_000))\n    pack = _PACKERS.get(event_type)" + body)


@pytest.mark.thorough
def test_a_slower_commit_is_found_and_one_that_says_so_passes(repository: Path) -> None:
    slow_down(repository)
    assert not check("HEAD", repository).ok, "not committed yet"
    git(repository, "commit", "-qam", "slower")
    verdict = check("HEAD^", repository)
    assert not verdict.ok, verdict
    git(repository, "commit", "-q", "--amend", "-m", "slower\n\nCosts-more: to see it")
    assert check("HEAD^", repository).line.endswith("meant: to see it")


@pytest.mark.thorough
def test_what_can_not_be_driven_is_not_compared(repository: Path) -> None:
    (repository / "udfs" / "router.py").write_text("EventRouter = RouterSettings = None\n")
    with pytest.raises(NotComparable, match=r"hot_path\.py"):
        check("HEAD", repository)


def test_nothing_to_compare_with(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotComparable, match="there is no such revision"):
        check("HEAD^", repository)
    with pytest.raises(NotComparable, match=r"not a git repository|no such revision"):
        check("HEAD^", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotComparable, match="git is not here"):
        check("HEAD^", repository)


def test_the_events_are_those_of_the_shop() -> None:
    events = regression._events(500)
    assert len(events) >= 500
    assert [each.offset for each in events] == list(range(len(events)))
    assert len({each.value for each in events}) > 400
