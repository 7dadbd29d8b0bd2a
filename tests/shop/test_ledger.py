"""The ledger: what goes in comes out, and a kill at any byte costs the torn entry only."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.shop.faults import Fault
from scripts.shop.ledger import MAGIC, UNACKNOWLEDGED, Entry, LedgerError, LedgerWriter, read_ledger

ENTRIES = [
    Entry(0, 0, 1_790_000_000_000, b"s-1", b"value", Fault.NONE),
    Entry(3, 2**40, 0, b"", b"", Fault.EMPTY, copy=True),
    Entry(1, 7, -1, None, None, Fault.NULL),
]
_ENTRY = st.builds(
    Entry,
    st.integers(-1, 2**31 - 1),
    st.integers(-1, 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.binary(max_size=40),
    st.none() | st.binary(max_size=400),
    st.sampled_from(Fault),
    st.booleans(),
)


def write(path: Path, entries: list[Entry], complete: bool = True) -> bytes:
    writer = LedgerWriter(path, {"topic": "events"})
    for entry in entries:
        writer.add(entry)
        writer.flush()
    writer.close(complete)
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_ENTRY, max_size=8))
def test_comes_out_as_it_went_in(tmp_path: Path, entries: list[Entry]) -> None:
    write(tmp_path / "a.ledger", entries)
    ledger = read_ledger(tmp_path / "a.ledger")
    assert (ledger.entries, ledger.meta, ledger.torn_bytes, ledger.closed) == (entries, {"topic": "events"}, 0, True)


def test_a_kill_at_any_byte_costs_the_torn_entry_only(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    data = write(path, ENTRIES)
    read = 0
    for size in range(data.index(b"events") + 20, len(data)):
        path.write_bytes(data[:size])
        ledger = read_ledger(path)
        assert ledger.entries == ENTRIES[: len(ledger.entries)]
        assert len(ledger.entries) >= read
        assert not ledger.complete
        read = len(ledger.entries)
    assert read == len(ENTRIES)


def test_damage_at_the_end_is_torn_and_elsewhere_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    data = write(path, ENTRIES, complete=False)
    path.write_bytes(data[:-1] + b"?")
    assert read_ledger(path).entries == ENTRIES[:-1]
    where = data.index(b"value")
    path.write_bytes(data[:where] + b"V" + data[where + 1 :])
    with pytest.raises(LedgerError, match="damaged at byte"):
        read_ledger(path)


@pytest.mark.parametrize("data", [b"", b"something else", MAGIC])
def test_no_ledger(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.ledger"
    path.write_bytes(data)
    with pytest.raises(LedgerError):
        read_ledger(path)


def test_complete_only_if_closed_and_all_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    write(path, ENTRIES)
    assert read_ledger(path).complete
    write(path, ENTRIES, complete=False)
    assert not read_ledger(path).complete
    write(path, [ENTRIES[0]._replace(partition=UNACKNOWLEDGED)])
    assert not read_ledger(path).complete


def test_an_error_leaves_it_open(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"

    def stopped_short() -> None:
        with LedgerWriter(path, {}) as writer:
            writer.add(ENTRIES[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped_short()
    ledger = read_ledger(path)
    assert ledger.entries == ENTRIES[:1]
    assert not ledger.closed
