"""What was fraud: one JSON object for each event of an attacker, in a file beside the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.shop.fraudsters import Label


def labels_path(ledger: Path) -> Path:
    """run.ledger -> run.ledger.labels.jsonl"""
    return ledger.with_name(ledger.name + ".labels.jsonl")


class LabelWriter:
    """Writes labels as they come; a label may stand for an event that Kafka has not confirmed: the ledger says which it has."""

    def __init__(self, ledger: Path) -> None:
        self._file = labels_path(ledger).open("w", encoding="utf-8")

    def write(self, labels: Iterable[Label]) -> None:
        self._file.writelines(json.dumps(label._asdict()) + "\n" for label in labels)
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def read_labels(ledger: Path) -> list[Label]:
    """The labels of a ledger; raises OSError if there are none, ValueError for a line that is no label."""
    return [Label(**json.loads(line)) for line in labels_path(ledger).read_text(encoding="utf-8").splitlines()]
