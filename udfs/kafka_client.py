"""Where Kafka is and how to log in there: read from one file, and told to each kind of client in its own words.

The job's tables (Java), the client that makes topics (kafka-python) and all that scripts/ runs (librdkafka) take the same file
(docs/security.md). Pure but for reading it.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# The debug log of kafka-python shows its options, password and all.
logging.getLogger("kafka").setLevel(logging.WARNING)

_SHADED: Final = "org.apache.flink.kafka.shaded.org.apache.kafka.common."
"""Where Flink's Kafka connector keeps Kafka's classes."""
_SCRAM: Final = "scram.ScramLoginModule"
_MECHANISMS: Final = {"PLAIN": "plain.PlainLoginModule", "SCRAM-SHA-256": _SCRAM, "SCRAM-SHA-512": _SCRAM}
_PROTOCOLS: Final = ("SSL", "SASL_SSL", "SASL_PLAINTEXT", "PLAINTEXT")
SECRETS: Final = ("sasl.password", "ssl.key.password")
_PEM: Final = ("ssl.truststore.type", "ssl.keystore.type")
_KEYS: Final = (
    "security.protocol", "sasl.mechanism", "sasl.username", *SECRETS, "ssl.truststore.location", "ssl.keystore.location", *_PEM,
    "ssl.endpoint.identification.algorithm",
)  # fmt: skip
# Kafka's own ways to say that a value stands elsewhere (EnvVarConfigProvider, DirectoryConfigProvider).
_REFERENCE: Final = re.compile(r"\$\{(?:(env):(\w+)|(directory):([^:}]+):([^:}/]+))}")


LibrdkafkaOptions = dict[str, str | int | float | bool]
"""What confluent-kafka's clients take."""


class Login(Mapping[str, str]):
    """The properties of one file, by their Java names; references are not followed."""

    def __init__(self, path: str | Path) -> None:
        """
        Args:
            path: of a file of KEY=VALUE lines; it must lie at the same place on every host of the job.

        Raises:
            ValueError: the file can't be read or says what no client here can do. The message shows no value that may be secret.
        """
        self.path = Path(path).absolute()
        self._given = _read(self.path)
        _check(self)

    def __getitem__(self, key: str) -> str:
        return self._given[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def java(self) -> dict[str, str]:
        """For the tables of the job. No secret: Kafka's client, where it is made, reads each from the place that is named here.

        So secrets are not in the job graph, the web UI, a log or a savepoint.
        """
        found = {key: value for key, value in self.items() if key.startswith("ssl.") and key not in SECRETS and key not in _PEM}
        found |= {key.removesuffix("location") + "type": "PEM" for key in self if key.endswith("store.location")}
        found["security.protocol"] = self["security.protocol"]
        if "ssl.key.password" in self:
            found["ssl.key.password"] = self._reference("ssl.key.password")
        if "sasl.mechanism" in self:
            user, password = (self._reference(f"sasl.{name}") for name in ("username", "password"))
            module = f"{_SHADED}security.{_MECHANISMS[self['sasl.mechanism']]}"
            found["sasl.mechanism"] = self["sasl.mechanism"]
            found["sasl.jaas.config"] = f'{module} required username="{user}" password="{password}";'
        if any("${" in value for value in found.values()):
            providers = {"file": "FileConfigProvider", "env": "EnvVarConfigProvider", "directory": "DirectoryConfigProvider"}
            found["config.providers"] = ",".join(providers)
            found |= {f"config.providers.{name}.class": f"{_SHADED}config.provider.{kind}" for name, kind in providers.items()}
        return found

    def librdkafka(self) -> LibrdkafkaOptions:
        """For confluent-kafka, secrets and all."""
        found: LibrdkafkaOptions = {"security.protocol": self["security.protocol"]}
        for key, names in _LIBRDKAFKA.items():
            if key in self:
                found |= dict.fromkeys(names, self.value(key))
        if not self.get("ssl.endpoint.identification.algorithm", "https"):
            found["ssl.endpoint.identification.algorithm"] = "none"
        return found

    def kafka_python(self) -> dict[str, str | bool]:
        """For kafka-python, secrets and all."""
        found: dict[str, str | bool] = {"security_protocol": self["security.protocol"]}
        for key, names in _KAFKA_PYTHON.items():
            if key in self:
                found |= dict.fromkeys(names, self.value(key))
        if not self.get("ssl.endpoint.identification.algorithm", "https"):
            found["ssl_check_hostname"] = False
        return found

    def value(self, key: str) -> str:
        """The value of a property, wherever it stands; raises ValueError if it is not there."""
        value = self[key]
        reference = _REFERENCE.fullmatch(value)
        if reference:
            env, name, _, folder, file = reference.groups()
            try:
                value = os.environ[name] if env else Path(folder, file).read_text()
            except (KeyError, OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{self.path}: {key} is {value}, which can't be read ({type(error).__name__})") from None
        if not value or not value.isprintable() or '"' in value or "\\" in value:
            raise ValueError(f"{self.path}: {key} must be printable text on one line without a double quote or backslash")
        return value

    def _reference(self, key: str) -> str:
        return self[key] if _REFERENCE.fullmatch(self[key]) else f"${{file:{self.path}:{key}}}"


_LIBRDKAFKA: Final = {
    "sasl.mechanism": ("sasl.mechanism",), "sasl.username": ("sasl.username",), "sasl.password": ("sasl.password",),
    "ssl.truststore.location": ("ssl.ca.location",), "ssl.keystore.location": ("ssl.certificate.location", "ssl.key.location"),
    "ssl.key.password": ("ssl.key.password",),
}  # fmt: skip
_KAFKA_PYTHON: Final = {
    "sasl.mechanism": ("sasl_mechanism",), "sasl.username": ("sasl_plain_username",), "sasl.password": ("sasl_plain_password",),
    "ssl.truststore.location": ("ssl_cafile",), "ssl.keystore.location": ("ssl_certfile", "ssl_keyfile"),
    "ssl.key.password": ("ssl_password",),
}  # fmt: skip


def _read(path: Path) -> dict[str, str]:
    """As Java reads it, without Java's escapes: what they mean differs from client to client."""
    try:
        text, mode = path.read_text("utf-8"), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None
    if re.search(r"[:{}$]", str(path)):
        raise ValueError(f"{path}: the path must not hold : $ {{ or }}, which Kafka's references are made of")
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(("#", "!")):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not (key and equals):
            raise ValueError(f"{path}: line {number} is not KEY=VALUE")
        if "\\" in line or line != line.rstrip():
            raise ValueError(f"{path}: line {number} holds a backslash or ends with a blank: Java's properties and others differ on that")
        if key not in _KEYS:
            hint = ": give sasl.username and sasl.password, it is made of them" if key == "sasl.jaas.config" else ""
            raise ValueError(f"{path}: line {number}: {key if key.isprintable() else 'that'} is not one of {', '.join(_KEYS)}{hint}")
        if key in found:
            raise ValueError(f"{path}: line {number}: {key} stands there twice")
        found[key] = value
    open_to_all = mode & (stat.S_IROTH | stat.S_IWOTH)
    if open_to_all and any(key in found and not _REFERENCE.fullmatch(found[key]) for key in SECRETS):
        raise ValueError(f"{path}: holds a password and is open to everybody on this host: chmod o= {path}")
    return found


def _check(login: Login) -> None:
    """Raises ValueError for what would fail only later, with a message that says less."""

    def require(condition: bool, what: str) -> None:
        if not condition:
            raise ValueError(f"{login.path}: {what}")

    protocol = login.get("security.protocol")
    require(protocol in _PROTOCOLS, f"security.protocol must be one of {', '.join(_PROTOCOLS)}")
    for key in _PEM:
        require(login.get(key, "PEM") == "PEM", f"{key} must be PEM: not every client here reads another kind")
    names = login.get("ssl.endpoint.identification.algorithm", "")
    require(names in ("", "https"), "ssl.endpoint.identification.algorithm must be https, or empty")
    has_sasl = str(protocol).startswith("SASL_")
    for key in ("sasl.mechanism", "sasl.username", "sasl.password"):
        require((key in login) == has_sasl, f"{key} {'is needed by' if has_sasl else 'does not go with'} {protocol}")
    require(not has_sasl or login["sasl.mechanism"] in _MECHANISMS, f"sasl.mechanism must be one of {', '.join(_MECHANISMS)}")
    for key in ("ssl.truststore.location", "ssl.keystore.location"):
        require(key not in login or Path(login[key]).is_absolute(), f"{key} must be an absolute path")
        require(key not in login or os.access(login[key], os.R_OK), f"{key}: {login.get(key)} can't be read")
    for key in ("sasl.username", *SECRETS):
        if key in login:
            login.value(key)


@dataclass(frozen=True)
class Brokers:
    """Where Kafka is, and how to log in there. Plain values: it is pickled into the job, and holds no secret.

    Attributes:
        bootstrap: host:port[,host:port].
        config: path of the file that `Login` reads; "": no security.
    """

    bootstrap: str
    config: str = ""

    def __str__(self) -> str:
        return self.bootstrap

    def librdkafka(self) -> LibrdkafkaOptions:
        """Where to connect and how, for confluent-kafka; raises ValueError."""
        return {"bootstrap.servers": self.bootstrap} | (Login(self.config).librdkafka() if self.config else {})

    def kafka_python(self) -> dict[str, str | bool]:
        """The same for kafka-python."""
        return {"bootstrap_servers": self.bootstrap} | (Login(self.config).kafka_python() if self.config else {})


def of(brokers: Brokers | str) -> Brokers:
    """Brokers from a bare host:port[,host:port] too: without security, as in most tests."""
    return Brokers(brokers) if isinstance(brokers, str) else brokers
