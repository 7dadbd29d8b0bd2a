"""What a wire does with packets."""

from __future__ import annotations

from scripts.chaos.wire import Wire


def lost(wire: Wire, packets: int = 10_000) -> int:
    return sum(wire.due(0) is None for _ in range(packets))


def test_a_new_wire_is_perfect() -> None:
    assert Wire().due(5.0) == 5.0
    assert lost(Wire()) == 0


def test_a_cut_wire_and_a_mended_one() -> None:
    wire = Wire()
    wire.set(0, 1, seed=1)
    assert lost(wire) == 10_000
    wire.set(0, 0, seed=1)
    assert lost(wire) == 0


def test_delay_and_loss() -> None:
    wire = Wire()
    wire.set(100, 0.05, seed=1)
    assert 400 < lost(wire) < 600
    assert {due for due in (wire.due(5.0) for _ in range(100)) if due is not None} == {5.1}


def test_the_seed_says_which_packets_are_lost() -> None:
    one, same, other = Wire(), Wire(), Wire()
    for wire, seed in ((one, 1), (same, 1), (other, 2)):
        wire.set(0, 0.5, seed)
    fates = [[wire.due(0) is None for _ in range(100)] for wire in (one, same, other)]
    assert fates[0] == fates[1] != fates[2]
