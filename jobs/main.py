"""The entry: `flink run -py jobs/main.py [options]`. See --help, or docs/operations.md for the options explained."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
# `flink run -py` puts this file's folder on the path, and not the project's.
sys.path[:0] = [str(ROOT), str(ROOT / "proto")]

from jobs import shipping  # noqa: E402

if __name__ == "__main__":
    # Before anything imports udfs; from here on, that name stands for this version of it.
    CODE = shipping.adopt(ROOT)

from pyflink.common import Configuration  # noqa: E402
from pyflink.datastream import StreamExecutionEnvironment  # noqa: E402
from pyflink.table import StreamTableEnvironment  # noqa: E402

from jobs import baseline, command_line, fraud, gateway, java_operators, operators, pipeline, recommendations, sales, session_order, tables  # noqa: E402
from jobs.settings import OPTIONS, RELEASE, Settings  # noqa: E402
from udfs.router import RouterSettings  # noqa: E402
from udfs.rules.language import InvalidRule, parse_rule  # noqa: E402
from udfs.topic_maker import keeper  # noqa: E402
from udfs.topics import NoAnswerError  # noqa: E402

log = logging.getLogger("millrace")


def parse(arguments: Sequence[str]) -> Settings:
    """Command line -> settings. Exits with status 2 and one line that names the option if a value is not allowed."""
    description = "millrace: events in, ordered and routed streams out."
    return command_line.parse(Settings, arguments, prog="flink run -py jobs/main.py", description=description)


_ROCKSDB: Final = {
    # De-duplication asks for keys that are mostly not there: a bloom filter answers that without a read.
    "state.backend.rocksdb.use-bloom-filter": "true",
    # In parts: the filter of one large file is larger than what one of the block cache's 64 shards holds, from some three million ids on.
    # Then it is read from the file anew for each look-up, and the job stands.
    "state.backend.rocksdb.memory.partitioned-index-filters": "true",
    # Each checkpoint makes a small file. By levels, every fourth of them is merged with all ids that are remembered: minutes of CPU time
    # for each minute, once there are enough. Files of like size are merged here: an id is rewritten a few times, and not for ever.
    "state.backend.rocksdb.compaction.style": "UNIVERSAL",
}
"""What millions of ids need (docs/benchmarks.md, "Soak"). The job's and not the cluster's, so that it holds wherever the job runs."""


def configuration(settings: Settings) -> Configuration:
    """What the job asks of Flink, over what the cluster's configuration says."""
    options = {
        "pipeline.name": "millrace",
        # Records are not copied between chained operators: none of ours keeps or changes one that it has passed on.
        "pipeline.object-reuse": "true",
        "pipeline.auto-watermark-interval": f"{settings.watermark_interval_ms}ms",
        "execution.buffer-timeout.interval": f"{settings.buffer_timeout_ms}ms",
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_ms}ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.timeout": "10min",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # If the newest one is of no use, the one before it is: docs/reliability.md.
        "execution.checkpointing.num-retained": "3",
        # Barriers wait in line as long as that is quick, and overtake the data when backpressure holds them up.
        "execution.checkpointing.unaligned.enabled": "true",
        "execution.checkpointing.aligned-checkpoint-timeout": "5s",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1s",
        "restart-strategy.exponential-delay.max-backoff": "1min",
        # A fault after a quiet time is healed as fast as the first one. Flink's hour would let five in a day add up to a minute's pause.
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2min",
        "state.backend.type": str(settings.state_backend),
        "execution.checkpointing.incremental": "true",
        "table.exec.state.ttl": f"{settings.memory_ms}ms",
        **_ROCKSDB,
        # What has expired goes when its file is merged, and a large old one may wait for that: so long at the most.
        "state.backend.rocksdb.compaction.filter.periodic-compaction-time": f"{settings.memory_ms}ms",
        "table.local-time-zone": "UTC",
        # Views that several sinks use are planned once: without this, there is one de-duplication per sink.
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
        **java_operators.WHOLE_METHODS,
        # The one that jobs/session_order.py knows how to replace; it is the default too.
        "table.exec.unbounded-over.version": "2",
        # Every operator is named after what it does, so that the web UI reads like pipeline.py.
        "table.exec.simplify-operator-name-enabled": "true",
        # Process mode: a bundle is the unit of the crossing, so its time is a floor under latency.
        "python.fn-execution.bundle.size": "10000",
        "python.fn-execution.bundle.time": "20",
    }
    if settings.parallelism:
        options["parallelism.default"] = str(settings.parallelism)
    if settings.python_mode != "cluster":
        options["python.execution-mode"] = settings.python_mode
    configuration = Configuration()
    for key, value in (options | settings.flink_properties).items():
        configuration.set_string(key, value)
    return configuration


def parameters(settings: Settings) -> dict[str, str]:
    """What the job says of itself in Flink's web UI and REST interface, for scripts/millrace job, which starts it again with the same
    options. No option holds a secret."""
    return {OPTIONS: json.dumps(command_line.arguments(settings)), RELEASE: shipping.release(ROOT)}


def insight_sinks(settings: Settings) -> list[str]:
    """DDL of the tables that the insights write which are switched on."""
    return [
        *(sales.sinks(settings) if settings.sales else ()),
        *(fraud.sinks(settings) if settings.fraud else ()),
        *(recommendations.sinks(settings) if settings.recommendations else ()),
    ]


def _make_topics(router: RouterSettings) -> None:
    """Makes the topics of the baseline that only a pattern allows, or ends with what is wrong with them."""
    rules = [parse_rule(text, router.destinations) for text in router.baseline_rules]
    try:
        missing = keeper(router).missing(destination.topic for rule in rules for destination in rule.to)
    except NoAnswerError as error:
        sys.exit(f"the baseline names topics of a pattern, and {error}")
    if missing:
        sys.exit("; ".join(f"the baseline names {topic!r}, which {reason}" for topic, reason in missing.items()))


def _require_access(settings: Settings) -> None:
    """Ends with one line if Kafka refuses the login or lacks an ACL, before there is a job that would fail again and again."""
    from jobs import access  # noqa: PLC0415 - a job without a login does not load the clients

    try:
        access.require(settings.brokers, access.of_job(settings))
    except access.AccessError as error:
        sys.exit(f"millrace: {error}")


def main(arguments: Sequence[str], code: shipping.Code | None = None) -> None:
    """Builds the job and submits it. `code`: what goes along with it; None: Flink finds udfs by itself."""
    settings = parse(arguments)
    rules_folder = Path(settings.rules) if Path(settings.rules).is_absolute() else ROOT / settings.rules
    try:
        rules = baseline.load(
            rules_folder, settings.topics.allowed(), can_mask=bool(settings.mask_key_file), with_fraud=settings.fraud,
            can_order=settings.order,
        )  # fmt: skip
    except (InvalidRule, OSError) as error:
        sys.exit(f"--rules {settings.rules}: {error}")
    log.info("baseline rules: %s", ", ".join(rules))
    if settings.kafka_config:
        _require_access(settings)

    gateway.quicken()
    env = StreamExecutionEnvironment.get_execution_environment(configuration(settings))
    env.get_config().set_global_job_parameters(parameters(settings))
    if code is not None:
        env.add_python_file(code.archive())
    table_env = StreamTableEnvironment.create(env)
    for ddl in (*tables.sources(settings), *tables.sinks(settings), *insight_sinks(settings)):
        table_env.execute_sql(ddl)
    has_patterns = settings.topics.allowed().has_patterns
    router = RouterSettings(
        baseline_rules=tuple(rules.values()),
        destinations=settings.topics.allowed(),
        max_clock_gap_ms=settings.max_clock_gap_ms,
        max_event_bytes=settings.max_event_bytes,
        dead_letter_share_limit=settings.dead_letter_share_limit,
        mask_key_file=settings.mask_key_file,
        rule_counters_ms=settings.rule_counters_ms,
        with_facts=settings.sales or settings.recommendations,
        with_fraud=settings.fraud,
        with_order=settings.order,
        topics=settings.brokers if has_patterns else None,
    )
    if router.topics is not None:
        _make_topics(router)
    pipeline.build(env, table_env, router, settings).attach_as_datastream()
    graph = operators.all_of(env)
    session_order.install(graph, settings)
    operators.assign_uids(graph)
    operators.flush_rarely(graph, but_to=pipeline.URGENT_SINKS, every_ms=settings.insight_buffer_timeout_ms)
    env.execute("millrace")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1:], CODE)
