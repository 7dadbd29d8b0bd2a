"""How fields are taken out of a record's JSON: what is not as promised is said, with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scripts.outputs.record import Fields, Record, Unreadable


def fields(text: bytes) -> Fields:
    return Record("t", text, partition=2, offset=9).json()


@pytest.mark.parametrize(
    ("take", "value"),
    [
        (lambda f: f.text("name"), "x"),
        (lambda f: f.integer("many"), 2**53),
        (lambda f: f.integer("missing", 7), 7),
        (lambda f: f.number("many"), float(2**53)),
        (lambda f: f.flag("on"), True),
        (lambda f: f.texts("ids", 2), ["a", "b"]),
        (lambda f: [each.integer("n") for each in f.objects("list", 1)], [1]),
    ],
)
def test_what_is_there(take: Callable[[Fields], Any], value: Any) -> None:
    text = b'{"name": "x", "many": 9007199254740992, "on": true, "ids": ["a", "b", 3], "list": [{"n": 1}, 2]}'
    assert take(fields(text)) == value


@pytest.mark.parametrize(
    ("text", "take", "problem"),
    [
        (b'{"n": 9007199254740993}', lambda f: f.integer("n"), "n is 9007199254740993, must be within 2^53"),
        (b'{"n": 99999999999999999999999}', lambda f: f.integer("n"), "must be an integer"),
        (b'{"n": null}', lambda f: f.integer("n", 0), "n is None, must be an integer"),
        (b'{"n": 1}', lambda f: f.flag("n"), "n is 1, must be true or false"),
        (b'{"n": {}}', lambda f: f.objects("n", 5), "must be a list"),
        (b'{"n": [1]}', lambda f: f.objects("n", 5), "n has 1 in it, must be objects"),
        (b'{"n": ["a", 1]}', lambda f: f.texts("n", 5), "must be a list of strings"),
    ],
)
def test_what_is_not(text: bytes, take: Callable[[Fields], Any], problem: str) -> None:
    with pytest.raises(Unreadable) as refused:
        take(fields(text))
    assert str(refused.value).startswith("t[2]@9: ")
    assert problem in str(refused.value)
