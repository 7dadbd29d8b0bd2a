"""The generator beside what is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from scripts.stack.paths import ROOT

PUNCTUAL: Final = ("--disorder", "0", "--late", "0")
"""What the generator holds back itself would be told as the job's latency."""
UNDISTURBED: Final = (*PUNCTUAL, "--duplicates", "0", "--malformed", "0")


@contextmanager
def generating(bootstrap: str, topic_prefix: str, rate: int, seconds: float, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts the generator, which is paced by its schedule and writes no ledger. The end of the block waits for its end.

    Where the block fails, it is killed: asked to end, it would first wait minutes for what a Kafka that is gone has not confirmed.
    """
    command = [sys.executable, "-m", "scripts.shop.generate", "--bootstrap", bootstrap, "--topic-prefix", topic_prefix,
               "--rate", str(rate), "--no-ledger", "--for", str(seconds), *options]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as generator:
        try:
            yield generator
        except BaseException:
            generator.kill()
            raise
