"""Topics that rules name by a pattern of --destinations: makes those that are missing, before a rule comes into force.

A rule that sends to a topic that does not exist would stop the whole job. Pure: udfs/kafka_topics.py asks Kafka.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from udfs.rules.destinations import Destinations
from udfs.rules.language import InvalidRule, parse_rule


class NoAnswerError(Exception):
    """Kafka could not be asked; nothing is known about the topics."""


class TopicDirectory(Protocol):
    """What is known about topics, by their full names."""

    def ensure(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Makes what is missing. Returns topic -> why it is not there and can't be made.

        Raises:
            NoAnswerError: nobody answers.
        """


@dataclass(frozen=True)
class TopicSettings:
    """Where topics are made; plain values, since it is pickled into the job.

    `client`: options of kafka-python, see client_options.
    """

    bootstrap: str
    client: Mapping[str, Any] = field(default_factory=dict)


class Keeper:
    """Sees to it that the topics of rules are there, asking only for those that it has not seen."""

    def __init__(self, allowed: Destinations, directory: TopicDirectory) -> None:
        self._allowed = allowed
        self._directory = directory
        self._seen: set[str] = set()

    def missing(self, destinations: Iterable[str]) -> dict[str, str]:
        """Destination, as rules name it -> why there is no such topic. Those that are allowed by name are not looked at.

        Raises:
            NoAnswerError
        """
        unseen = {self._allowed.prefix + name: name for name in self._allowed.made_on_demand(destinations) if name not in self._seen}
        if not unseen:
            return {}
        refused = {unseen[topic]: reason for topic, reason in self._directory.ensure(unseen).items()}
        self._seen |= set(unseen.values()) - refused.keys()
        return refused

    def refusal(self, text: str | None, *, can_mask: bool) -> str:
        """Why a rule, as it came over the topic, must be rejected for its topics; "" if for nothing, or if it is no rule at all."""
        try:
            rule = parse_rule(text or "", self._allowed, can_mask=can_mask)
        except InvalidRule:
            return ""  # a deletion, or what the rulebook rejects with its faults
        names = [destination.topic for destination in rule.to]
        try:
            refused = self.missing(names)
        except NoAnswerError as error:
            return f"to names a topic of a pattern, and {error}: push it again"
        return "; ".join(f"to[{names.index(name)}].topic is {name!r}, which {reason}" for name, reason in refused.items())


# -- security ------------------------------------------------------------------------------------------------------------------

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
