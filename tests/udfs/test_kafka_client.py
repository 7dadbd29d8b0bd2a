"""The file that says how to log in to Kafka: what each kind of client is told, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from udfs.kafka_client import Brokers, Login, of

SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common"
HUSH = "p=a:s;s'w#ö"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "me.pem"):
        (tmp_path / name).touch()
    return tmp_path


def written(folder: Path, *lines: str, mode: int = 0o600) -> Path:
    path = folder / "kafka.properties"
    path.write_text("\n".join(lines).replace("FOLDER", str(folder)))
    path.chmod(mode)
    return path


SCRAM = (
    "# who we are", "", "security.protocol = SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", "sasl.username=me", f" sasl.password = {HUSH}",
    "ssl.truststore.location=FOLDER/ca.pem",
)  # fmt: skip


def test_scram_over_tls(folder: Path) -> None:
    path = written(folder, *SCRAM)
    login = Login(path)
    assert login.librdkafka() == {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "me", "sasl.password": HUSH,
        "ssl.ca.location": f"{folder}/ca.pem",
    }  # fmt: skip
    assert login.kafka_python() == {
        "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "me", "sasl_plain_password": HUSH,
        "ssl_cafile": f"{folder}/ca.pem",
    }  # fmt: skip
    assert login.java() == {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"{folder}/ca.pem",
        "sasl.jaas.config": f'{SHADED}.security.scram.ScramLoginModule required username="${{file:{path}:sasl.username}}" '
        f'password="${{file:{path}:sasl.password}}";',
        "config.providers": "file,env,directory",
        "config.providers.file.class": f"{SHADED}.config.provider.FileConfigProvider",
        "config.providers.env.class": f"{SHADED}.config.provider.EnvVarConfigProvider",
        "config.providers.directory.class": f"{SHADED}.config.provider.DirectoryConfigProvider",
    }  # fmt: skip


def test_a_certificate_of_our_own(folder: Path) -> None:
    login = Login(written(folder, "security.protocol=SSL", "ssl.keystore.location=FOLDER/me.pem", "ssl.key.password=k",
                          "ssl.endpoint.identification.algorithm="))  # fmt: skip
    pem = f"{folder}/me.pem"
    assert login.librdkafka() == {
        "security.protocol": "SSL", "ssl.certificate.location": pem, "ssl.key.location": pem, "ssl.key.password": "k",
        "ssl.endpoint.identification.algorithm": "none",
    }  # fmt: skip
    assert login.kafka_python() == {
        "security_protocol": "SSL", "ssl_certfile": pem, "ssl_keyfile": pem, "ssl_password": "k", "ssl_check_hostname": False,
    }  # fmt: skip
    java = login.java()
    assert (java["ssl.keystore.type"], java["ssl.endpoint.identification.algorithm"]) == ("PEM", "")
    assert java["ssl.key.password"] == f"${{file:{folder}/kafka.properties:ssl.key.password}}"


def test_without_a_secret_java_follows_no_reference(folder: Path) -> None:
    assert Login(written(folder, "security.protocol=SSL", mode=0o644)).java() == {"security.protocol": "SSL"}


def test_a_secret_may_stand_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_USER", "me")
    (folder / "password").write_text(HUSH)
    elsewhere = ("sasl.username=${env:KAFKA_USER}", "sasl.password=${directory:FOLDER:password}")
    # No secret in the file itself: all may read it.
    login = Login(written(folder, "security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", *elsewhere, mode=0o644))
    assert (login.librdkafka()["sasl.username"], login.kafka_python()["sasl_plain_password"]) == ("me", HUSH)
    assert login.java()["sasl.jaas.config"] == (
        f'{SHADED}.security.plain.PlainLoginModule required username="${{env:KAFKA_USER}}" password="${{directory:{folder}:password}}";'
    )
    monkeypatch.delenv("KAFKA_USER")
    with pytest.raises(ValueError, match=r"sasl\.username is \$\{env:KAFKA_USER}, which can't be read"):
        Login(folder / "kafka.properties")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"security.protocol": "TLS"}, "security.protocol must be one of SSL, SASL_SSL"),
        ({"security.protocol": None}, "security.protocol must be one of"),
        ({"security.protocol": "SSL"}, "sasl.mechanism does not go with SSL"),
        ({"sasl.mechanism": "GSSAPI"}, "sasl.mechanism must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"sasl.password": None}, "sasl.password is needed by SASL_SSL"),
        ({"sasl.password": ""}, "sasl.password must be printable text"),
        ({"sasl.password": 'a"hush'}, "sasl.password must be printable text on one line without a double quote"),
        ({"sasl.password": "a\\hush"}, "line 4 holds a backslash or ends with a blank"),
        ({"sasl.password": "hush "}, "line 4 holds a backslash or ends with a blank"),
        ({"sasl.jaas.config": "x required hush"}, "sasl.jaas.config is not one of.*: give sasl.username and sasl.password"),
        ({"sasl.pasword": "hush"}, "line 5: sasl.pasword is not one of"),
        ({"ssl.truststore.location": "ca.pem"}, "ssl.truststore.location must be an absolute path"),
        ({"ssl.truststore.location": "/no/such"}, "ssl.truststore.location: /no/such can't be read"),
        ({"ssl.truststore.type": "JKS"}, "ssl.truststore.type must be PEM"),
        ({"ssl.endpoint.identification.algorithm": "none"}, "ssl.endpoint.identification.algorithm must be https, or empty"),
    ],
)
def test_refused_with_its_reason_and_without_the_password(folder: Path, changed: dict[str, Any], message: str) -> None:
    given = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "me", "sasl.password": "hush"} | changed
    path = written(folder, *(f"{key}={value}" for key, value in given.items() if value is not None))
    with pytest.raises(ValueError, match=message.replace(".", r"\.").replace(r"\.*", ".*")) as refused:
        Login(path)
    assert str(path) in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("hush",), "line 1 is not KEY=VALUE"),
        (("=hush",), "line 1 is not KEY=VALUE"),
        ((*SCRAM, SCRAM[4]), "sasl.username stands there twice"),
    ],
)
def test_what_is_no_such_file(folder: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        Login(written(folder, *lines))
    assert "hush" not in str(refused.value)


def test_a_password_that_everybody_may_read_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="open to everybody on this host: chmod o="):
        Login(written(folder, *SCRAM, mode=0o644))
    assert Login(written(folder, *SCRAM, mode=0o640))["sasl.username"] == "me"


def test_a_missing_file() -> None:
    with pytest.raises(ValueError, match=r"/no/such: No such file"):
        Login("/no/such")


def test_what_goes_into_the_job_holds_no_secret(folder: Path) -> None:
    brokers = Brokers("kafka:1", str(written(folder, *SCRAM)))
    assert brokers.librdkafka()["sasl.password"] == HUSH
    shipped = pickle.dumps(brokers) + repr((brokers, Login(brokers.config).java())).encode()
    assert HUSH.encode() not in shipped
    assert str(brokers) == "kafka:1"


def test_without_a_file_there_is_no_security() -> None:
    assert Brokers("a:1,b:2").librdkafka() == {"bootstrap.servers": "a:1,b:2"}
    assert of("a:1") == Brokers("a:1")
    assert of(Brokers("a:1", "/x")) == Brokers("a:1", "/x")
