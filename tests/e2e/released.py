"""The world of the released version, small: a savepoint of its job at parallelism 2, and the Kafka that belongs to it.

`scripts/release-savepoint` makes it anew, as tests/data/savepoint-VERSION.tar.xz. Kafka's whole data goes along and not only the records
of `events`: the savepoint names offsets (of the heartbeat, too) and transactions, and a Kafka that knows neither is not the one that a
user upgrades on.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from jobs.settings import Topics
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import AGREED, IDLE_MS, Job, order, rules_folder

DATA: Final = ROOT / "tests" / "data"
TOPICS: Final = Topics(prefix="released.")
# State must outlive the years until the next release.
OPTIONS: Final = (
    "--topic-prefix", TOPICS.prefix, "--group-id", "released", *AGREED, "--idle-ms", str(IDLE_MS), "--checkpoint-interval-ms", "1000",
    "--memory-ms", str(100 * 365 * 24 * 3_600_000), "--parallelism", "2",
    # As the default was then: the length of a window is in the id of its operator.
    "--recommendation-window-ms", "60000",
)  # fmt: skip
# Few keys, since each is state. All kinds of disturbances, since they take ways of their own.
_LOAD: Final = ("--rate", "100", "--events", "500", "--sessions", "20", "--seed", "1", "--duplicates", "0.02", "--malformed", "0.02")
_MOST_BYTES: Final = 500_000
# Kafka makes these anew; they are most of its files.
_LEFT_OUT: Final = (".index", ".timeindex", ".txnindex", ".lock", ".kafka_cleanshutdown")
LAST: Final = ("session-of-release", "event-of-release")
"""The session and event id of an order that went through before the savepoint: the only event of its session."""


@dataclass(frozen=True)
class Released:
    """What is stored."""

    version: str
    savepoint: Path
    kafka: Path


def changed_rule() -> dict[str, Any]:
    """The rule that was pushed before the savepoint: orders over $100 are of high value, not only those over $1000."""
    rule: dict[str, Any] = yaml.safe_load((ROOT / "rules" / "high-value-orders.yaml").read_text())
    rule["version"] += 1
    rule["when"]["all"][0]["value"] = 10_000
    return rule


def version() -> str:
    """Of this checkout."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def stored() -> Path:
    """The archive of the last release."""
    found = sorted(DATA.glob("savepoint-*.tar.xz"), key=lambda path: [int(part) for part in path.name[10:-7].split(".")])
    assert found, "no release is stored: scripts/release-savepoint"
    return found[-1]


def unpack(archive: Path, folder: Path) -> Released:
    """Unpacks a stored release, Kafka's data to where a Stack of this `folder` has it."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    told = json.loads((folder / "release.json").read_text())
    return Released(told["version"], folder / "savepoint", folder / "kafka")


def make(folder: Path) -> Path:
    """Makes the archive anew; `folder` is for what is needed on the way."""
    with Stack(folder / "stack", parallelism=2) as stack:
        stack.create_topics(TOPICS)
        job = Job(stack, TOPICS, stack.submit(*OPTIONS), folder, OPTIONS, 2)
        stack.wait_running(job.job_id)
        job.push_rule(changed_rule())
        ledger = job.generate(*_LOAD)
        last = order(20_000, *LAST)
        job.produce(TOPICS.events, last.session_id.encode(), last.SerializeToString(), last.event_time_ms)
        # All windows are closed then, and the checker has judged what goes into the release.
        job.verify(ledger, rules_folder(folder / "rules", changed_rule()), from_topic=True)
        savepoint = Path(job.stop().removeprefix("file:"))
    release = folder / "release"
    shutil.copytree(savepoint, release / "savepoint")
    shutil.copytree(folder / "stack" / "kafka", release / "kafka", ignore=lambda _, names: [n for n in names if n.endswith(_LEFT_OUT)])
    (release / "release.json").write_text(json.dumps({"version": version()}))
    DATA.mkdir(exist_ok=True)
    archive = DATA / f"savepoint-{version()}.tar.xz"
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for part in sorted(release.iterdir()):
            tar.add(part, part.name)
    return archive


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="millrace-release-") as folder:
        archive = make(Path(folder))
    size = archive.stat().st_size
    print(f"{archive.relative_to(ROOT)}: {size:,} bytes")
    if size > _MOST_BYTES:
        sys.exit(f"that is over {_MOST_BYTES:,} bytes: fewer events, fewer sessions")


if __name__ == "__main__":
    main()
