"""What the alert rules and the Grafana dashboard ask Prometheus for."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from scripts.stack.paths import CONF

ALERTS: Final = CONF / "prometheus" / "alerts.yaml"
DASHBOARD: Final = CONF / "grafana" / "millrace.json"
_METRIC: Final = re.compile(r"\bflink_\w+")


def alerts() -> list[dict[str, Any]]:
    """The rules of all groups."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Where a query stands -> the query, for the job named millrace."""
    found = {f"alert {rule['alert']}": str(rule["expr"]) for rule in alerts()}
    for panel in panels():
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"].replace("$job", "millrace") for target in panel["targets"]}
    return found


def metrics() -> frozenset[str]:
    """The names of all metrics in the queries."""
    return frozenset(name for query in queries().values() for name in _METRIC.findall(query))
