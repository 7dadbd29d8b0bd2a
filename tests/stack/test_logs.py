"""Flink's log configuration, turned into JSON."""

from __future__ import annotations

from scripts.stack.logs import as_json

LOG4J = """\
rootLogger.level = INFO
appender.console.name = ConsoleAppender
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c %x - %m%n
appender.console.filter.threshold.type = ThresholdFilter
appender.rolling.layout.type = PatternLayout
appender.rolling.layout.pattern = %d %-5p %c %x - %m%n
logger.netty.level = OFF
"""


def test_each_appender_gets_the_layout_and_all_else_stays() -> None:
    found = as_json(LOG4J).splitlines()
    assert found == [
        "rootLogger.level = INFO",
        "appender.console.name = ConsoleAppender",
        "appender.console.filter.threshold.type = ThresholdFilter",
        "logger.netty.level = OFF",
        "appender.console.layout.type = JsonTemplateLayout",
        "appender.console.layout.eventTemplateUri = classpath:EcsLayout.json",
        "appender.rolling.layout.type = JsonTemplateLayout",
        "appender.rolling.layout.eventTemplateUri = classpath:EcsLayout.json",
    ]
