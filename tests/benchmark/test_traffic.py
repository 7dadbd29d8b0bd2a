"""The generator beside a benchmark: whether it is waited for, or killed."""

from __future__ import annotations

import signal

import pytest

from scripts.benchmark.traffic import generating

NOBODY = "127.0.0.1:9"


def test_a_block_that_fails_does_not_wait_for_the_generator() -> None:
    with pytest.raises(KeyError), generating(NOBODY, "any.", 1, 3_600) as generator:
        raise KeyError

    assert generator.returncode == -signal.SIGKILL


def test_a_block_that_ends_waits_for_the_generator() -> None:
    with generating(NOBODY, "any.", 0, 1) as generator:  # a rate that it refuses
        pass

    assert generator.returncode == 2
