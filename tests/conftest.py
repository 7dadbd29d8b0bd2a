"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from scripts.stack import Stack
from scripts.stack.processes import last_line

settings.register_profile("quick", max_examples=20)
"""`scripts/test unit` takes it: a fifth of the random examples that the whole suite tries."""


def pytest_collection_finish() -> None:
    """Thousands of collected tests live until the end: without this, each full garbage collection goes through all of them."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what must not decide over a submission yet, and says so."""
    if "MILLRACE_TEST_ALL" not in os.environ:
        for item in items:
            if item.get_closest_marker("unproven"):
                item.add_marker(pytest.mark.skip(reason="unproven: MILLRACE_TEST_ALL=1 runs it"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A real Kafka and a real Flink with two TaskManagers, for the whole session, on free ports."""
    failed_before = request.session.testsfailed
    with Stack(tmp_path_factory.mktemp("stack"), parallelism=2, short_lived=True, warm_client=True) as running:
        yield running
        if request.session.testsfailed > failed_before:
            _show_logs(running)


def _show_logs(stack: Stack) -> None:
    for each in stack.processes:
        print(f"{each.name}: {last_line(Path(each.log))}\n  log: {each.log}")
