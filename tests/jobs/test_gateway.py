"""What a Java name stands for is asked once; what may change is asked each time."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.gateway import remembered


class Name:
    """Answers as Py4J's packages and classes do, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, name: str) -> Any:
        if name == "missing":
            raise AttributeError(name)
        self.asked.append(name)
        return Name() if name.islower() else 7

    __getattr__ = remembered(ask, object)


class Class(Name):
    __getattr__ = remembered(Name.ask, Name)


def test_a_name_is_asked_once() -> None:
    jvm: Any = Name()
    assert jvm.org.apache is jvm.org.apache
    assert jvm.asked == ["org"]
    assert jvm.org.asked == ["apache"]


def test_a_field_is_asked_each_time() -> None:
    java_class: Any = Class()
    assert (java_class.FIELD, java_class.FIELD, java_class.method is java_class.method) == (7, 7, True)
    assert java_class.asked == ["FIELD", "FIELD", "method"]


def test_what_is_missing_stays_missing() -> None:
    jvm: Any = Name()
    for _ in range(2):
        with pytest.raises(AttributeError, match="missing"):
            _ = jvm.missing
