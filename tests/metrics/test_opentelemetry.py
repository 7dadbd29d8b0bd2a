"""flink-conf/opentelemetry.yaml against the plugin that Flink's distribution brings. What arrives: tests/e2e/test_opentelemetry.py."""

from __future__ import annotations

from typing import Final
from zipfile import ZipFile

import pytest
import yaml

from scripts.stack.paths import CONF, SITE_PACKAGES

OPTIONS: Final[dict[str, str]] = yaml.safe_load((CONF / "opentelemetry.yaml").read_text())
CONFIG: Final[dict[str, str]] = yaml.safe_load((CONF / "config.yaml").read_text())
FLINKS_OWN: Final = {"factory.class", "interval", "filter.excludes"}
KINDS: Final = {"metrics": "MetricReporterFactory", "traces": "TraceReporterFactory", "events": "EventReporterFactory"}


@pytest.fixture(scope="module")
def plugin() -> ZipFile:
    return ZipFile(next((SITE_PACKAGES / "pyflink" / "plugins" / "metrics-otel").glob("*.jar")))


@pytest.mark.parametrize("kind", KINDS)
def test_the_plugin_offers_the_factory(plugin: ZipFile, kind: str) -> None:
    offered = plugin.read(f"META-INF/services/org.apache.flink.{kind}.reporter.{KINDS[kind]}").decode()
    assert OPTIONS[f"{kind}.reporter.otel.factory.class"] in offered.splitlines()


def test_the_plugin_knows_every_option(plugin: ZipFile) -> None:
    known = plugin.read("org/apache/flink/metrics/otel/OpenTelemetryReporterOptions.class")
    asked = {key.split(".reporter.otel.")[1] for key in OPTIONS} - FLINKS_OWN
    assert {"exporter.protocol", "exporter.endpoint", "service.name"} == asked
    assert [each for each in asked if each.encode() not in known] == []


def test_the_same_metrics_as_for_prometheus_are_left_out() -> None:
    assert OPTIONS["metrics.reporter.otel.filter.excludes"] == CONFIG["metrics.reporter.prom.filter.excludes"]


def test_it_is_off_by_default() -> None:
    assert [key for key in CONFIG if ".otel." in key] == []
