"""What a secured Kafka is told, and what its users get. That it works so is shown in tests/e2e/test_security.py."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from kafka.admin import ACLOperation, ACLResourcePatternType, ResourceType

from jobs.access import Needs
from scripts.stack import kafka
from scripts.stack.kafka import Node
from scripts.stack.secured import Security, acls
from udfs.kafka_client import Login


@pytest.fixture
def security(tmp_path: Path) -> Security:
    return Security.made(tmp_path / "security", ["127.0.0.1", "localhost"], ["me"])


def test_nobody_gets_in_without_tls_a_login_and_rights(security: Security, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(1, "127.0.0.1", 9001, 9101, tmp_path / "kafka", 9201, 9301)
    node.folder.mkdir()
    (node.folder / "meta.properties").touch()  # formatted before
    kafka.configure([node], security)
    text = node.properties.read_text()
    told = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))  # the last one counts, as in Kafka
    listeners = dict(each.split("://") for each in told["listeners"].split(","))
    protocols = dict(each.split(":") for each in told["listener.security.protocol.map"].split(","))
    assert listeners == {
        "CLIENTS": "127.0.0.1:9001", "EXPIRED": "127.0.0.1:9301", "NODES": "127.0.0.1:9201", "CONTROLLER": "127.0.0.1:9101",
    }  # fmt: skip
    assert {name for name, protocol in protocols.items() if protocol == "SASL_SSL"} == {"CLIENTS", "EXPIRED"}
    for name in listeners.keys() - {"CLIENTS", "EXPIRED"}:
        assert (protocols[name], told[f"listener.name.{name.lower()}.ssl.client.auth"]) == ("SSL", "required")
    assert told["allow.everyone.if.no.acl.found"] == "false"
    assert told["authorizer.class.name"].endswith("StandardAuthorizer")
    assert told["super.users"] == "User:node;User:admin"
    assert told["ssl.principal.mapping.rules"] == "RULE:^CN=([^,]+).*$/$1/,DEFAULT"
    assert not any(password in text for password in security.users.values())


def test_a_login_is_for_its_owner_only(security: Security) -> None:
    assert stat.S_IMODE(security.folder.stat().st_mode) == 0o700
    path = security.login("me")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    login = Login(path)
    assert (login["sasl.username"], login.value("sasl.password")) == ("me", security.users["me"])
    other = security.login("me", "another", "wrong")
    assert (other != path, Login(other).value("sasl.password")) == (True, "another")
    assert len({*security.users.values()}) == 2


def test_one_certificate_is_good_and_one_has_expired(security: Security) -> None:
    good, expired = (x509.load_pem_x509_certificate((security.folder / f"{name}.pem").read_bytes()) for name in ("node", "expired"))
    assert expired.not_valid_after_utc < good.not_valid_after_utc
    assert b"BEGIN PRIVATE KEY" in (security.folder / "node.pem").read_bytes(), "PKCS #8: Java reads no other form"


def test_acls_grant_what_is_needed_and_no_more() -> None:
    needs = Needs(
        read=("in",), write=("out",), describe=("seen",), groups=("g",), lag_of=("job",), transactions=("t-",), make=("campaign.",)
    )  # fmt: skip
    exact, prefixed = ACLResourcePatternType.LITERAL, ACLResourcePatternType.PREFIXED
    topic, group, transaction = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
    granted = {
        (each.resource_pattern.resource_type, each.resource_pattern.resource_name, each.resource_pattern.pattern_type, each.operation)
        for each in acls("me", needs)
    }
    assert granted == {
        (topic, "in", exact, ACLOperation.READ), (topic, "out", exact, ACLOperation.WRITE), (topic, "seen", exact, ACLOperation.DESCRIBE),
        (group, "g", exact, ACLOperation.READ), (group, "job", exact, ACLOperation.DESCRIBE),
        (transaction, "t-", prefixed, ACLOperation.WRITE),
        (topic, "campaign.", prefixed, ACLOperation.CREATE), (topic, "campaign.", prefixed, ACLOperation.WRITE),
    }  # fmt: skip
    assert {each.principal for each in acls("me", needs)} == {"User:me"}
    assert acls("me", Needs()) == []
