"""The job's Kafka client properties, as Java has them, for the client in Python that makes topics. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_JAAS_MODULES: Final = ("PlainLoginModule", "ScramLoginModule")


def client_options(properties: Mapping[str, str]) -> dict[str, Any]:
    """Kafka client properties, as Java has them, as options of kafka-python. What is not about security does not matter here.

    Raises:
        ValueError: names a property of security that can't be carried over.
    """
    options: dict[str, Any] = {}
    for key, value in properties.items():
        if key in _PLAIN:
            options[_PLAIN[key]] = value
        elif key == "sasl.jaas.config":
            options |= _login(value)
        elif key == "ssl.endpoint.identification.algorithm":
            options["ssl_check_hostname"] = bool(value.strip())
        elif key in ("ssl.truststore.location", "ssl.keystore.location"):
            kind = key.removesuffix("location") + "type"
            if properties.get(kind) != "PEM":
                raise ValueError(f"--kafka-property {key} needs {kind}=PEM if --destinations has patterns: Python reads no other kind")
            options |= {"ssl_cafile": value} if "trust" in key else {"ssl_certfile": value, "ssl_keyfile": value}
        elif key.startswith(("ssl.", "sasl.")) and key not in _IMPLIED:
            raise ValueError(f"--kafka-property {key} does not go with patterns in --destinations: only Java knows it")
    return options


_PLAIN: Final = {"security.protocol": "security_protocol", "sasl.mechanism": "sasl_mechanism", "ssl.key.password": "ssl_password"}
_IMPLIED: Final = ("ssl.truststore.type", "ssl.keystore.type")


def _login(jaas: str) -> dict[str, str]:
    found = dict(re.findall(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"', jaas))
    if not any(module in jaas for module in _JAAS_MODULES) or not {"username", "password"} <= found.keys():
        raise ValueError(
            "--kafka-property sasl.jaas.config needs PlainLoginModule or ScramLoginModule, with username and password in quotes, "
            "if --destinations has patterns"
        )
    return {f"sasl_plain_{name}": re.sub(r"\\(.)", r"\1", found[name]) for name in ("username", "password")}
