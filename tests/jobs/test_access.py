"""What the job asks of Kafka, and what is said of certificates. Passwords and ACLs need a real Kafka: tests/e2e/test_security.py."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from jobs.access import AccessError, Needs, NoAnswerError, of_job, require
from jobs.settings import Guarantee, Settings
from udfs.kafka_client import Brokers

AUTHORITY, STRANGER = trustme.CA(), trustme.CA()
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def test_a_job_of_the_defaults() -> None:
    needs = of_job(Settings())
    assert needs.read == ("events", "rules", "events.heartbeat")
    assert {"orders", "events.late", "rules.status", "events.heartbeat", "fraud.alerts", "sessions.closed"} <= set(needs.write)
    assert (needs.groups, needs.transactions, needs.make) == (("millrace", "millrace-rules"), ("millrace-",), ())
    assert "rules.audit" not in needs.write
    assert not {"events", "rules"} & set(needs.write), "a job that could write its own input"


def test_what_is_switched_off_needs_no_right() -> None:
    settings = Settings(
        topic_prefix="a.", group_id="g", guarantee=Guarantee.AT_LEAST_ONCE, sales=False, fraud=False, recommendations=False,
        heartbeat=False, destinations=("orders", "campaign.*"),
    )  # fmt: skip
    write = ("a.orders", "a.events.late", "a.events.dead-letters", "a.rules.status")
    assert of_job(settings) == Needs(read=("a.events", "a.rules"), write=write, groups=("g", "g-rules"), make=("a.campaign.",))


@contextlib.contextmanager
def listening(certificate: trustme.LeafCert | None) -> Iterator[str]:
    """A server that shakes hands and says no more; None: one without TLS, which hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        certificate.configure_cert(context)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client, contextlib.suppress(OSError):
                    if certificate is not None:
                        context.wrap_socket(client, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def login(folder: Path, *lines: str) -> str:
    AUTHORITY.cert_pem.write_to_path(str(folder / "ca.pem"))
    path = folder / "kafka.properties"
    path.write_text("\n".join(("security.protocol=SSL", f"ssl.truststore.location={folder}/ca.pem", *lines)))
    return str(path)


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        (AUTHORITY.issue_cert("127.0.0.1", not_before=YESTERDAY - timedelta(days=1), not_after=YESTERDAY), "certificate has expired"),
        (AUTHORITY.issue_cert("127.0.0.1", not_before=datetime.now(UTC) + timedelta(days=1)), "certificate is not yet valid"),
        (STRANGER.issue_cert("127.0.0.1"), "unable to get local issuer certificate"),
        (AUTHORITY.issue_cert("127.0.0.2", "kafka.example"), "IP address mismatch"),
    ],
    ids=("expired", "of tomorrow", "of a stranger", "of another host"),
)
def test_a_certificate_that_is_refused_says_why(certificate: trustme.LeafCert, message: str, tmp_path: Path) -> None:
    with listening(certificate) as address, pytest.raises(AccessError, match=message) as refused:
        require(Brokers(address, login(tmp_path)), Needs(), wait_s=0)
    assert str(refused.value).startswith(f"Kafka at {address}: its certificate is refused: ")
    assert not isinstance(refused.value, NoAnswerError), "waiting does not help"


def test_the_broker_that_answers_counts(tmp_path: Path) -> None:
    """The first one does not listen: the next one is asked, and says what is wrong."""
    with listening(STRANGER.issue_cert("127.0.0.1")) as address, pytest.raises(AccessError, match="unable to get local issuer"):
        require(Brokers(f"127.0.0.1:1,{address}", login(tmp_path)), Needs(), wait_s=0)


@pytest.mark.parametrize("without_tls", [False, True])
def test_nobody_answers(tmp_path: Path, without_tls: bool) -> None:
    with listening(None) as address, pytest.raises(NoAnswerError, match=r"Kafka does not answer at 127\.0\.0\.1:\d+: "):
        require(Brokers(address if without_tls else "127.0.0.1:1", login(tmp_path)), Needs(), wait_s=0)


@pytest.mark.parametrize("bootstrap", ["kafka", "kafka:", ":9092", "kafka:x"])
def test_what_is_no_address(bootstrap: str, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=f"--bootstrap names '{bootstrap}', which is not host:port"):
        require(Brokers(bootstrap, login(tmp_path)), Needs(), wait_s=0)


def test_files_that_hold_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    path = login(tmp_path, f"ssl.keystore.location={tmp_path}/empty.pem")
    with pytest.raises(AccessError, match=r"kafka\.properties: ssl\.keystore\.location: "):
        require(Brokers("127.0.0.1:1", path), Needs(), wait_s=0)
    (tmp_path / "ca.pem").write_text("")
    with pytest.raises(AccessError, match=r"kafka\.properties: ssl\.truststore\.location: "):
        require(Brokers("127.0.0.1:1", path), Needs(), wait_s=0)


def test_a_file_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=f"--kafka-config {tmp_path}/none: No such file"):
        require(Brokers("127.0.0.1:1", f"{tmp_path}/none"), Needs())


def test_without_a_login_nobody_is_asked() -> None:
    require(Brokers("127.0.0.1:1"), Needs(read=("events",)))
