"""State does not leak: once the time-outs have passed, keyed state and timers are near zero again, by RocksDB's own metrics."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import Job, rules_folder, running_job, wait_until

pytestmark = pytest.mark.e2e

_KEYS = "estimate-num-keys"
_COUNTED = ("--flink-property", f"state.backend.rocksdb.metrics.{_KEYS}=true")
# Short enough to pass within the test; the sales windows are the harness's.
_TIMEOUTS = ("--memory-ms", "5000", "--session-gap-ms", "3000", "--fraud-window-ms", "5000", "--max-clock-gap-ms", "60000")
# What recommendations keep is bounded by the catalogue and not by time.
_SWITCHES = ("--no-recommendations",)
_EVENTS = 30_000


def forgetful_rules(folder: Path) -> Path:
    """Today's rules, but what fraud signals remember is over after seconds; without those that must remember for an hour at least.

    And one that sums by session.
    """
    changed, without = [], []
    for path in (ROOT / "rules").glob("fraud-*.yaml"):
        rule = yaml.safe_load(path.read_text())
        signal = rule["when"]["signal"]
        if "within" in signal:
            signal["within"] = "5s"
            changed.append(rule)
        elif signal["kind"] != "no-view":
            without.append(rule["id"])
    assert changed
    changed.append({
        "id": "sums", "version": 1, "to": [{"topic": "orders", "order": "none"}],
        "when": {
            "events": ["product_viewed"],
            "aggregate": {"count": "events", "by": "session", "within": "5s", "op": ">", "value": 1_000_000},
        },
    })  # fmt: skip
    return rules_folder(folder, *changed, without=tuple(without))


def keys_by_operator(job: Job) -> Counter[str]:
    """Entries in RocksDB, timers included, by operator and state: an estimate, as RocksDB makes it."""
    keys: Counter[str] = Counter()
    for vertex in job.stack.rest(f"/jobs/{job.job_id}")["vertices"]:
        path = f"/jobs/{job.job_id}/vertices/{vertex['id']}/metrics"
        names = [metric["id"] for metric in job.stack.rest(path) if metric["id"].endswith(_KEYS)]
        for name in names:
            value = job.stack.rest(f"{path}?get={quote(name, safe='')}")[0]["value"]
            keys[name.split(".", 1)[1].removesuffix(f".rocksdb.{_KEYS}")] += int(float(value))
    return keys


def test_state_goes_when_its_time_is_over(stack: Stack, tmp_path: Path) -> None:
    """A burst, then a trickle: RocksDB frees what has expired when it compacts, and that takes writes."""
    folder = tmp_path / "ledgers"
    folder.mkdir()
    rules = forgetful_rules(tmp_path / "rules")
    with running_job(stack, "leak", folder, "--rules", str(rules), *_COUNTED, *_TIMEOUTS, *_SWITCHES) as job:
        ledger = job.generate("--rate", "max", "--events", str(_EVENTS), "--seed", "3", "--clean")
        peak: Counter[str] = Counter()

        def at_peak() -> bool:
            now = keys_by_operator(job)
            if now.total() > peak.total():
                peak.clear()
                peak.update(now)
            return peak.total() > _EVENTS / 2 and any(peak[name] > 10 for name in peak if "aggregate-by-rule" in name)

        wait_until(at_peak, f"state of the burst, the sums of rules among it: {peak}", 120)
        with job.generating("--rate", "20", "--seed", "4", "--sessions", "5", "--clean") as trickle:
            now: Counter[str] = Counter()

            def near_zero() -> bool:
                now.clear()
                now.update(keys_by_operator(job))
                return now.total() < peak.total() * 0.05

            try:
                wait_until(near_zero, "state near zero", 240)
            finally:
                print(f"at most {peak.total():,}: {peak}\nafterwards {now.total():,}: {now}")
        assert ledger.exists()
        assert trickle.exists()
