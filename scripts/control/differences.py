"""In what two sets of rules differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from udfs.rules.language import Rule

RuleTexts = Mapping[str, tuple[Rule, str]]


@dataclass(frozen=True)
class Difference:
    """One rule that is not the same in the files and in force. `kind`: added, changed, only in force."""

    rule_id: str
    kind: str
    patch: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        yield f"{self.rule_id}: {self.kind}"
        yield from (f"  {line}" for line in self.patch)

    def as_json(self) -> dict[str, Any]:
        return {"rule": self.rule_id, "difference": self.kind, "patch": self.patch}


def differences(in_force: RuleTexts, files: RuleTexts) -> list[Difference]:
    """What pushing the files would change; and the rules that no file has, which pushing leaves in force."""
    found = []
    for rule_id in sorted(in_force.keys() | files.keys()):
        old, new = in_force.get(rule_id), files.get(rule_id)
        # By text, as the job compares: 1, 1.0 and true are equal in Python, and not in a rule.
        if old is not None and new is not None and repr(old[0]) == repr(new[0]):
            continue
        kind = "added" if old is None else "only in force" if new is None else "changed"
        patch = () if new is None else _patch(old[1] if old else "", new[1])
        found.append(Difference(rule_id, kind, patch))
    return found


def _patch(old: str, new: str) -> tuple[str, ...]:
    return tuple(difflib.unified_diff(_pretty(old), _pretty(new), "in force", "files", lineterm=""))


def _pretty(text: str) -> list[str]:
    return json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False).splitlines() if text else []
