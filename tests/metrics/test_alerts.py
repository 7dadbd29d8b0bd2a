"""The alert rules and the dashboard: right by promtool, made of metrics that exist, each with its paragraph in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from scripts.stack.paths import CONF, ROOT
from tests.metrics.used import ALERTS, alerts, metrics, panels
from udfs import metrics as registry
from udfs import validation

CASES: Final = Path(__file__).with_name("alerts.yaml")
EXPOSED: Final = frozenset(Path(__file__).with_name("exposed.txt").read_text().split())
"""What a real job exposes; tests/e2e/test_operate.py holds it against one."""
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text()
NAMES: Final = [rule["alert"] for rule in alerts()]

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here: apt-get install prometheus")


@promtool
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("check", "rules", ALERTS), id="rules"),
        pytest.param(("check", "config", CONF / "prometheus" / "prometheus.yaml"), id="configuration"),
        pytest.param(("test", "rules", CASES), id="unit tests of the rules", marks=pytest.mark.thorough),
    ],
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_to_fire_and_to_be_quiet() -> None:
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    seen = {(case["alertname"], bool(case["exp_alerts"])) for case in cases}
    assert seen == {(name, fires) for name in NAMES for fires in (True, False)}


@pytest.mark.parametrize("rule", alerts(), ids=NAMES)
def test_each_alert_leads_to_its_paragraph(rule: dict[str, dict[str, str]]) -> None:
    name = str(rule["alert"])
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    assert rule["labels"]["severity"] in ("critical", "warning")
    paragraph = re.search(rf"^### {name}\n\n(.+)", OPERATIONS, re.MULTILINE)
    assert paragraph is not None, f"docs/operations.md has no section {name}"
    assert len(paragraph[1]) > 80


def test_the_runbook_has_no_alert_that_is_gone() -> None:
    assert re.findall(r"^### (Millrace\w+)$", OPERATIONS, re.MULTILINE) == NAMES


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel_says_what_it_shows(panel: dict[str, str]) -> None:
    assert len(panel["description"]) > 30
    assert set(re.findall(r"Millrace\w+", panel["description"])) <= set(NAMES)


def test_each_metric_asked_for_is_exposed() -> None:
    assert metrics() <= EXPOSED, metrics() - EXPOSED


def test_each_metric_of_the_registry_is_exposed_and_told() -> None:
    prefix = "flink_taskmanager_job_task_operator_millrace_"
    own = [registry.EVENTS, registry.DEAD_LETTERS, registry.DEAD_LETTER_PPM, registry.UNROUTED, registry.RULE_UPDATES_REFUSED,
           registry.RULES_IN_FORCE, f"{registry.DEAD_LETTERS_BY_REASON}_{registry.DEAD_LETTERS}",
           *(f"rule_{name}" for name in registry.RULE_COUNTERS)]  # fmt: skip
    assert {name.removeprefix(prefix) for name in EXPOSED if name.startswith(prefix)} == set(own)
    for name in own:
        assert f"`{name.split('_')[-1]}`" in OPERATIONS or f"`.{name.split('_')[-1]}`" in OPERATIONS, name


def test_every_reason_of_dead_letters_has_a_series_from_the_start() -> None:
    source = Path(validation.__file__).read_text()
    raised = set(re.findall(r"raise InvalidEvent\(([A-Z_]+)", source))
    assert {getattr(validation, name) for name in raised} <= set(validation.REASONS)
