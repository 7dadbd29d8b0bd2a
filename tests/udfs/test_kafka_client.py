"""Security of the client that makes topics: carried over from the job's properties, or refused."""

from __future__ import annotations

import pytest

from udfs.kafka_client import client_options

SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="a\\"b;c=d";'


def test_security_is_carried_over() -> None:
    properties = {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": SCRAM,
        "ssl.truststore.type": "PEM", "ssl.truststore.location": "/ca.pem", "ssl.keystore.type": "PEM", "ssl.keystore.location": "/me.pem",
        "ssl.key.password": "k", "ssl.endpoint.identification.algorithm": "", "linger.ms": "5",
    }  # fmt: skip
    assert client_options(properties) == {
        "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "me", "sasl_plain_password": 'a"b;c=d',
        "ssl_cafile": "/ca.pem", "ssl_certfile": "/me.pem", "ssl_keyfile": "/me.pem", "ssl_password": "k", "ssl_check_hostname": False,
    }  # fmt: skip
    assert client_options({"acks": "all"}) == {}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"ssl.truststore.location": "/ca.jks"}, "--kafka-property ssl.truststore.location needs ssl.truststore.type=PEM"),
        ({"ssl.keystore.location": "/me.jks", "ssl.keystore.type": "JKS"}, "--kafka-property ssl.keystore.location needs"),
        ({"sasl.login.callback.handler.class": "x.Y"}, "--kafka-property sasl.login.callback.handler.class does not go with patterns"),
        ({"sasl.jaas.config": "x.Krb5LoginModule required;"}, "--kafka-property sasl.jaas.config needs PlainLoginModule or ScramLogin"),
        ({"sasl.jaas.config": "x.PlainLoginModule required username=me;"}, "--kafka-property sasl.jaas.config needs PlainLoginModule"),
    ],
)
def test_security_that_only_java_knows_is_refused(properties: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        client_options(properties)
