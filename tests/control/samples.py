"""Rules, and how a command is run: what the tests of scripts/millrace rules start from."""

from __future__ import annotations

import argparse
import json
from typing import Any

from scripts.control import offline
from udfs.rules.language import Rule, parse_rule

TOPICS = ("orders", "payments", "fraud-detection")
ORDERS = {"id": "a", "version": 1, "when": {"events": ["order_placed"]}, "to": [{"topic": "orders"}]}
TOTAL = "$.order_placed.total.amount_minor"


def run(*arguments: str) -> int:
    """Runs a command as scripts/millrace rules does."""
    parser = argparse.ArgumentParser()
    offline.add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def rule(**changes: Any) -> Rule:
    return parse_rule(json.dumps(ORDERS | changes), TOPICS)


def rules_of(*rules: Rule) -> dict[str, Rule]:
    return {each.id: each for each in rules}


def when(*conditions: dict[str, Any], events: tuple[str, ...] = ("order_placed",), **more: Any) -> dict[str, Any]:
    return {"events": list(events), **({"all": list(conditions)} if conditions else {}), **more}


def over(amount_minor: int, **more: Any) -> dict[str, Any]:
    return when({"path": TOTAL, "op": ">", "value": amount_minor}, **more)
