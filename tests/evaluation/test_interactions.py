"""Session logs in CSV: read, and refused with line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.evaluation.interactions import Interaction, LogError, from_csv

HEAD = "session_id,user_id,item,category,event,time\n"


def read(tmp_path: Path, text: str) -> list[Interaction]:
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    return from_csv(path)


def test_times_in_both_forms_and_in_order(tmp_path: Path) -> None:
    log = read(tmp_path, HEAD + "s,u,a,toys,view,1700000001000\ns,,b,,cart,2023-11-14T22:13:20Z\ns,,c,,view,2023-11-14 22:13:20.500\n")
    assert log == [
        Interaction("s", "C", (("b", ""),), 1_700_000_000_000),
        Interaction("s", "V", (("c", ""),), 1_700_000_000_500),
        Interaction("s", "V", (("a", "toys"),), 1_700_000_001_000),
    ]


def test_lines_of_one_order_and_columns_in_any_order(tmp_path: Path) -> None:
    log = read(tmp_path, "time,event,item,more,category,session_id,user_id\n5,order,a,x,t,s,\n5,order,c,x,t,z,\n5,order,b,x,t,s,\n")
    assert log == [Interaction("s", "O", (("a", "t"), ("b", "t")), 5), Interaction("z", "O", (("c", "t"),), 5)]


def test_quoted_fields_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + HEAD + 's,u,"a, ""b""",toys,view,5\n') == [Interaction("s", "V", (('a, "b"', "toys"),), 5)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: no column session_id, user_id, item, category, event, time; needed are"),
        ("session_id,user_id,item,category,time\n", "line 1: no column event"),
        (HEAD, "has no line after its head"),
        (HEAD + "s,u,a,toys,view,5\ns,u,a,toys,bought,5\n", "line 3, column event: 'bought' is none of view, cart, order"),
        (HEAD + "s,u,a,toys,view,yesterday\n", "line 2, column time: 'yesterday' is neither milliseconds since the epoch nor an ISO time"),
        (HEAD + "s,u,a,toys,view,-5\n", "line 2, column time: '-5'"),
        (HEAD + ",u,a,toys,view,5\n", "line 2, column session_id: must not be empty"),
        (HEAD + "s,u,,toys,view,5\n", "line 2, column item: must not be empty"),
        (HEAD + "s,u,a,toys,view\n", "line 2: fewer fields than the head has"),
        (HEAD + "s,u,a,toys,view,5,6,7\n", "line 2: 2 fields too many"),
        (HEAD + 's,u,"a,toys,view,5\n', "unexpected end of data"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(LogError) as raised:
        read(tmp_path, text)
    assert str(tmp_path / "log.csv") in str(raised.value)
    assert error in str(raised.value)


def test_no_such_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="No such file"):
        from_csv(tmp_path / "none.csv")
    (tmp_path / "log.csv").write_bytes(HEAD.encode() + b"\xff\xfe,u,a,toys,view,5\n")
    with pytest.raises(LogError, match="utf-8"):
        from_csv(tmp_path / "log.csv")
