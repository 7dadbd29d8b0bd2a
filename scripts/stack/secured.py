"""What a secured Kafka needs on this machine: certificates, users with random passwords, a login's file for each user, ACLs.

For tests, and to try things out; in production, certificates come from your own authority and passwords from a secret store.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, KafkaAdminClient, ResourcePattern, ResourceType

from jobs.access import Needs
from scripts.stack.errors import StackError
from udfs.kafka_client import Brokers

ADMIN: Final = "admin"
NODE: Final = "node"


@dataclass
class Security:
    """Of one Kafka. Everything lies in `folder`, readable for this user only.

    Attributes:
        users: user name -> password; `admin` may do everything, all others what `grant` grants.
    """

    folder: Path
    users: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, folder: Path, hosts: Iterable[str], users: Iterable[str]) -> Security:
        """New certificates for `hosts`, and new passwords."""
        folder.mkdir(mode=0o700, parents=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        now = datetime.now(UTC)
        expired = authority.issue_cert(*hosts, common_name=NODE, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1))
        for name, certificate in (("node", authority.issue_cert(*hosts, common_name=NODE)), ("expired", expired)):
            (folder / f"{name}.pem").write_bytes(_as_java_reads_it(certificate))
        return cls(folder, {name: secrets.token_urlsafe(24) for name in (ADMIN, *users)})

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    def login(self, user: str, password: str | None = None, name: str = "") -> Path:
        """Writes the file for --kafka-config of a user, `password`: another than the right one; returns its path."""
        path = self.folder / f"{name or user}.properties"
        path.touch(mode=0o600)
        path.write_text(
            f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username={user}\n"
            f"sasl.password={password or self.users[user]}\nssl.truststore.location={self.authority}\n"
        )
        return path

    def substitutes(self) -> dict[str, str]:
        """For flink-conf/kafka-secured.properties."""
        return {"certificate": str(self.folder / "node.pem"), "expired_certificate": str(self.folder / "expired.pem"),
                "authority": str(self.authority), "node_name": NODE, "admin_name": ADMIN}  # fmt: skip

    def format_options(self) -> list[str]:
        """Of Kafka's StorageTool: the users that are there from the start."""
        return [f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]" for name, password in self.users.items()]


def _as_java_reads_it(certificate: trustme.LeafCert) -> bytes:
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain


def acls(user: str, needs: Needs) -> list[ACL]:
    """The ACLs that grant `needs` to a user, and no more."""
    topic, group, transaction = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
    exact, prefixed = ACLResourcePatternType.LITERAL, ACLResourcePatternType.PREFIXED
    wanted = [
        *((topic, name, exact, ACLOperation.READ) for name in needs.read),
        *((topic, name, exact, ACLOperation.WRITE) for name in needs.write),
        *((topic, name, exact, ACLOperation.DESCRIBE) for name in needs.describe),
        *((group, name, exact, ACLOperation.READ) for name in needs.groups),
        *((group, name, exact, ACLOperation.DESCRIBE) for name in needs.lag_of),
        *((transaction, name, prefixed, ACLOperation.WRITE) for name in needs.transactions),
        *((topic, name, prefixed, operation) for name in needs.make for operation in (ACLOperation.CREATE, ACLOperation.WRITE)),
    ]
    return [
        ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
        for kind, name, pattern, operation in wanted
    ]


def grant(admin: Brokers, user: str, needs: Needs) -> None:
    """Raises StackError if Kafka refuses one."""
    with KafkaAdminClient(**admin.kafka_python()) as client:
        failed = client.create_acls(acls(user, needs))["failed"]
    if failed:
        raise StackError(f"ACLs for {user} could not be made: {failed}")


def revoke(admin: Brokers, user: str, needs: Needs) -> None:
    """Takes back what `grant` has granted."""
    with KafkaAdminClient(**admin.kafka_python()) as client:
        client.delete_acls(acls(user, needs))
