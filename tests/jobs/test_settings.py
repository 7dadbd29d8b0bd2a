"""Which settings are refused, by the name of their option, and what is derived from the rest."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from jobs.settings import Guarantee, Settings, StateBackend, Topics

POSITIVE = ("checkpoint_interval_ms", "idle_ms", "max_drift_ms", "memory_ms", "window_ms", "slide_ms", "watermark_interval_ms",
    "max_event_bytes", "session_gap_ms", "session_step_ms", "totals_ms", "payment_within_ms")  # fmt: skip
NOT_NEGATIVE = ("lateness_ms", "buffer_timeout_ms", "insight_buffer_timeout_ms", "max_clock_gap_ms", "parallelism")

REFUSED: list[tuple[dict[str, Any], str]] = [
    *(({name: value}, f"--{name.replace('_', '-')} is {value}, must be > 0") for name in POSITIVE for value in (0, -1)),
    *(({name: -1}, f"--{name.replace('_', '-')} is -1, must be >= 0") for name in NOT_NEGATIVE),
    ({"slide_ms": 7_000}, "--slide-ms is 7000, must divide window_ms (300000)"),
    ({"window_ms": 5_000}, "--slide-ms is 10000, must divide window_ms (5000)"),
    ({"destinations": ()}, "--destinations is (), must name at least one topic"),
    *(
        ({"dead_letter_share_limit": value}, f"--dead-letter-share-limit is {value}, must be in (0, 1]")
        for value in (0.0, -0.1, 1.1, float("nan"))
    ),
    (
        {"transaction_timeout_ms": 60_000, "checkpoint_interval_ms": 60_000},
        "--transaction-timeout-ms is 60000, must be longer than checkpoint_interval_ms (60000)",
    ),
    ({"kafka_property": ("linger.ms=1", "acks")}, "--kafka-property is 'acks', must be key=value"),
    ({"kafka_property": ("=1",)}, "--kafka-property is '=1', must be key=value"),
    ({"kafka_property": ("bootstrap.servers=a:1",)}, "--kafka-property is 'bootstrap.servers=a:1', must be given as --bootstrap"),
    ({"flink_property": ("pipeline.object-reuse",)}, "--flink-property is 'pipeline.object-reuse', must be key=value"),
    ({"flink_property": ("parallelism.default=2",)}, "--flink-property is 'parallelism.default=2', must be given as --parallelism"),
    ({"flink_property": ("s3.secret-key=hush",)},
     "--flink-property s3.secret-key may hold a secret, which everybody could read there: it is the cluster's to know"),
    ({"bootstrap": " "}, "--bootstrap is ' ', must not be empty"),
    ({"group_id": ""}, "--group-id is '', must not be empty"),
    ({"order": False}, "--order is False, must be on for fraud, recommendations: switch them off too"),
    ({"order": False, "fraud": False}, "--order is False, must be on for recommendations: switch them off too"),
    ({"start": "now"}, "--start is 'now', must be one of earliest-offset, latest-offset, group-offsets"),
    ({"python_mode": "jvm"}, "--python-mode is 'jvm', must be one of cluster, thread, process"),
    ({"destinations": ("a;b",)}, "--destinations is 'a;b', must be letters, digits, '.', '_' or '-' ('*': a pattern)"),
    *(
        ({"destinations": (name,)}, f"--destinations is {name!r}, must not be a topic of the job itself")
        for name in ("events", "rules", "rules.status", "events.dead-letters")
    ),
    ({"destinations": ("a", "a")}, "--destinations is ('a', 'a'), must name each topic once"),
    ({"destinations": ("*",)}, "--destinations is '*', must begin with what its topics begin with, and not with '*'"),
    (
        {"destinations": ("a.*",), "kafka_property": ("sasl.kerberos.service.name=kafka",)},
        "--kafka-property sasl.kerberos.service.name does not go with patterns in --destinations: the client that makes topics reads "
        "--kafka-config only",
    ),
    *(
        ({"kafka_property": (f"{key}=hush",)},
         f"--kafka-property {key} may hold a secret, which everybody could read there: put it into --kafka-config")
        for key in ("ssl.key.password", "ssl.truststore.password", "ssl.keystore.key", "sasl.oauthbearer.client.credentials.client.secret")
    ),
    (
        {"kafka_property": ("sasl.jaas.config=x.Module required username='a' password='hush';",)},
        "--kafka-property sasl.jaas.config may hold a secret, which everybody could read there: put it into --kafka-config",
    ),
    (
        {"kafka_config": "/no/such"},
        "--kafka-config /no/such: No such file or directory",
    ),
]

ALLOWED: list[dict[str, Any]] = [
    *({name: 0} for name in NOT_NEGATIVE),
    *({name: 1} for name in POSITIVE if name not in ("window_ms", "slide_ms")),
    {"window_ms": 10_000, "slide_ms": 10_000},
    {"window_ms": 1, "slide_ms": 1},
    {"dead_letter_share_limit": 1.0},
    {"transaction_timeout_ms": 60_001, "checkpoint_interval_ms": 60_000},
    {"order": False, "sales": False, "fraud": False, "recommendations": False},
    {"kafka_property": ("empty=",)},
    {"kafka_property": ("sasl.jaas.config=x.Krb5LoginModule required keyTab='/k';", "ssl.key.password=${env:KEY}")},
    {"destinations": ("orders", "campaign.*", "events.*")},
    {"destinations": ("orders",), "kafka_property": ("sasl.kerberos.service.name=kafka",)},
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=str)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        Settings(**changes)
    assert str(refused.value) == message


@pytest.mark.parametrize("changes", ALLOWED, ids=str)
def test_allowed_at_the_edge(changes: dict[str, Any]) -> None:
    settings = Settings(**changes)
    assert {name: getattr(settings, name) for name in changes} == changes


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().window_ms = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    assert [each.name for each in dataclasses.fields(Settings) if not each.metadata.get("help")] == []


def test_the_defaults_stand_among_the_choices() -> None:
    choices = {each.name: each.metadata["choices"] for each in dataclasses.fields(Settings) if "choices" in each.metadata}
    assert {name for name, allowed in choices.items() if getattr(Settings(), name) in allowed} == {"start", "python_mode"}
    assert (Guarantee(Settings().guarantee), StateBackend(Settings().state_backend)) == (Settings().guarantee, Settings().state_backend)


@pytest.mark.parametrize("prefix", ["", "test-1."])
def test_topics(prefix: str) -> None:
    topics = Settings(topic_prefix=prefix, destinations=("orders", "fraud", "campaign.*")).topics
    names = [
        topics.events, topics.heartbeat, topics.rules, topics.rule_status, topics.rule_audit, topics.late, topics.dead_letters,
        *topics.insights(), topics.replays,
    ]  # fmt: skip
    expected = [
        "events", "events.heartbeat", "rules", "rules.status", "rules.audit", "events.late", "events.dead-letters", "sales.by-category",
        "sales.per-minute", "sales.top-products", "funnel.by-category", "sessions.closed", "fraud.alerts",
        "recommendations.by-product", "recommendations.by-user", "trending.by-category",
        "events.replays",
    ]  # fmt: skip
    assert names == [prefix + name for name in expected]
    assert topics.own() == set(names)
    assert topics.routed() == {"orders": f"{prefix}orders", "fraud": f"{prefix}fraud"}


def test_topics_of_their_own_are_the_settings_defaults() -> None:
    assert Settings().topics == Topics()


def test_client_properties_keep_all_behind_the_first_equals_sign() -> None:
    settings = Settings(kafka_property=("security.protocol=SSL", "sasl.jaas.config=x.Login required user='a' key=\"b==\";", "empty="))
    assert settings.client_properties == {
        "security.protocol": "SSL",
        "sasl.jaas.config": "x.Login required user='a' key=\"b==\";",
        "empty": "",
    }
    assert Settings().client_properties == {}


@pytest.mark.parametrize(
    ("window_ms", "slide_ms", "top_slide_ms"), [(300_000, 10_000, 60_000), (10_000, 2_000, 2_000), (6_000, 2_000, 2_000), (9, 9, 9)]
)
def test_top_products_slide_by_a_fifth_of_the_window_if_the_slide_allows(window_ms: int, slide_ms: int, top_slide_ms: int) -> None:
    assert Settings(window_ms=window_ms, slide_ms=slide_ms).top_slide_ms == top_slide_ms
