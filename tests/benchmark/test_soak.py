"""The soak: what is made of its samples, and how the end is held against the beginning."""

from __future__ import annotations

from dataclasses import replace

from scripts.benchmark.soak import Samples, Stretch, line, verdict

MIB = 2**20
SAMPLES = Samples(
    at_once_ms=[float(each) for each in range(100)],
    ordered_ms=[500.0 + each for each in range(200)],
    cpu_s=[(10.0, 100.0), (15.0, 104.0), (30.0, 130.0)],
    memory_bytes=[900 * MIB, 1_000 * MIB],
    heap_bytes=[300 * MIB, 120 * MIB, 250 * MIB],
    checkpoints={7: (100, 10 * MIB), 8: (120, 20 * MIB), 9: (900, 30 * MIB)},
)


def test_a_stretch() -> None:
    found = Stretch.of(SAMPLES)
    assert found == Stretch(100, 50, 99, 600, 698, 1.5, 1_000, 120, 120, 900, 20)
    assert line(found, 2.5, 125) == "| 2.5 | 80.0% | 50 | 99 | 600 | 698 | 1.50 | 1,000 | 120 | 120 | 900 | 20 |"


def test_nothing_was_seen() -> None:
    assert line(Stretch.of(Samples()), 2.5, 100) == "| 2.5 | 0.0% | nan | nan | nan | nan | nan | 0 | 0 | nan | nan | nan |"


def test_the_end_against_the_beginning() -> None:
    """Medians of thirds: one stretch that was disturbed does not decide."""
    flat = Stretch.of(SAMPLES)
    grown = replace(flat, heap_mib=180, ordered_p99_ms=698 * 2)
    found = verdict([flat, replace(flat, heap_mib=900), flat, flat, flat, flat, grown, grown, replace(grown, memory_mib=1)])
    assert "heap at its least 1.50" in found
    assert "p99 2.00" in found
    assert "TaskManager and Python 1.00" in found
