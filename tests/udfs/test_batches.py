"""The layout of batches. That the operators in Java have the same one is shown by tests/integration/test_pipeline.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udfs.batches import Record, pack, records, routed, unpack_routed

INT64 = st.integers(-(2**63), 2**63 - 1)
RECORDS = st.builds(Record, st.binary(max_size=50), st.integers(0, 2**31 - 1), INT64, INT64)
TEXTS = st.text(max_size=20)


@given(st.lists(RECORDS, max_size=5))
def test_in(packed: list[Record]) -> None:
    assert list(records(pack(*packed))) == packed


@given(st.lists(st.tuples(INT64, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.binary(max_size=50)), max_size=5))
def test_out(events: list[tuple[int, str, str, str, str, str, bytes]]) -> None:
    assert list(unpack_routed(b"".join(routed(*event) for event in events))) == events


def test_the_layout_is_the_one_that_the_operators_in_java_know() -> None:
    assert pack(Record(b"v", 1, 2, 3)).hex() == "00000001" "00000001" "0000000000000002" "0000000000000003" "76"
    sizes = "00000001" "00000002" "00000000" "00000001" "00000001" "00000002"
    assert routed(4, "s", "ü", "", "u", "f", b"pp").hex() == "0000000000000004" + sizes + "73" "c3bc" "75" "66" "7070"
