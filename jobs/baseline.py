"""Loads the baseline rules: the YAML files that are in force before the first update comes over the rules topic."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import yaml

from udfs.rules import InvalidRule, rule_from


def load(folder: Path, allowed_topics: Iterable[str]) -> dict[str, str]:
    """Reads and checks all *.yaml files of a folder; a file may hold several documents.

    Returns:
        Rule id -> the rule as JSON text, the form in which it also travels over the rules topic.

    Raises:
        InvalidRule: names the file and the fault.
        OSError: the folder can't be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    topics = tuple(allowed_topics)
    rules: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            for raw in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                rule = rule_from(raw, topics)
                if rule.id in rules:
                    raise InvalidRule(f"id {rule.id!r} stands in two files")
                rules[rule.id] = json.dumps(raw, sort_keys=True)
        except (InvalidRule, yaml.YAMLError) as error:
            raise InvalidRule(f"{path.name}: {error}") from None
        except UnicodeDecodeError as error:
            raise InvalidRule(f"{path.name}: not UTF-8: {error}") from None
        except RecursionError:
            raise InvalidRule(f"{path.name}: nested too deeply") from None
    return rules
