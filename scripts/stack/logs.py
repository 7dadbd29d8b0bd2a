"""Flink's logs as JSON, one object a line, for programs that collect them."""

from __future__ import annotations

import re
from typing import Final

_LAYOUT: Final = re.compile(r"^(appender\.\w+)\.layout\.(type|pattern)\b.*\n?", re.MULTILINE)


def as_json(log4j: str) -> str:
    """A log4j2 configuration whose appenders write objects by the Elastic Common Schema (@timestamp, log.level, message, error.…).

    Args:
        log4j: the configuration with layouts of patterns, as Flink's distribution has it; log4j-layout-template-json is in its lib/.
    """
    appenders = dict.fromkeys(found[1] for found in _LAYOUT.finditer(log4j))
    layout = {"type": "JsonTemplateLayout", "eventTemplateUri": "classpath:EcsLayout.json"}
    layouts = "".join(f"{appender}.layout.{name} = {value}\n" for appender in appenders for name, value in layout.items())
    return f"{_LAYOUT.sub('', log4j).rstrip()}\n{layouts}"
