"""The entry: `flink run -py jobs/main.py [options]`. See --help, or docs/operations.md for the options explained."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

ROOT = Path(__file__).resolve().parent.parent
# `flink run -py` puts this file's folder on the path, and not the project's.
sys.path[:0] = [str(ROOT), str(ROOT / "proto")]

from pyflink.common import Configuration  # noqa: E402
from pyflink.datastream import StreamExecutionEnvironment  # noqa: E402
from pyflink.table import StreamTableEnvironment  # noqa: E402

from jobs import baseline, pipeline, sales, tables, uids  # noqa: E402
from jobs.settings import Settings  # noqa: E402
from udfs.router import RouterSettings  # noqa: E402
from udfs.rules.language import InvalidRule  # noqa: E402

log = logging.getLogger("millrace")


def parse(arguments: Sequence[str]) -> Settings:
    """Command line -> settings. Exits with status 2 and one line that names the option if a value is not allowed."""
    # One line of usage and whole names only: an error must not drown in a page of options, nor a misspelt one pass for another.
    parser = argparse.ArgumentParser(
        prog="flink run -py jobs/main.py", usage="%(prog)s [options], see --help", allow_abbrev=False,
        description="millrace: events in, ordered and routed streams out.",
    )  # fmt: skip
    types = get_type_hints(Settings)
    for each in dataclasses.fields(Settings):
        _add_option(parser, each, types[each.name])
    options = parser.parse_args(arguments)
    try:
        return Settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in vars(options).items()})
    except ValueError as error:
        parser.error(str(error))


def _add_option(parser: argparse.ArgumentParser, option: dataclasses.Field[Any], kind: Any) -> None:
    name = "--" + option.name.replace("_", "-")
    help_text = f"{option.metadata['help']} (default: {_shown(option.default)})".replace("%", "%%")
    if kind is bool:
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=option.default, help=help_text)
    elif option.metadata.get("repeat"):
        parser.add_argument(name, action="append", default=[], metavar=option.metadata["repeat"], help=help_text)
    elif kind == tuple[str, ...]:
        split = lambda text: tuple(part for part in text.split(",") if part)  # noqa: E731
        parser.add_argument(name, type=split, default=option.default, metavar="A,B", help=help_text)
    else:
        choices = option.metadata.get("choices") or (list(kind) if hasattr(kind, "__members__") else None)
        parser.add_argument(name, type=kind, default=option.default, choices=choices, help=help_text)


def _shown(value: Any) -> str:
    return (",".join(value) or "none") if isinstance(value, tuple) else str(value) or "none"


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
        "state.backend.type": str(settings.state_backend),
        "execution.checkpointing.incremental": "true",
        "table.exec.state.ttl": f"{settings.memory_ms}ms",
        "table.local-time-zone": "UTC",
        # Views that several sinks use are planned once: without this, there is one de-duplication per sink.
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
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
    for key, value in options.items():
        configuration.set_string(key, value)
    return configuration


def _ship_code(env: StreamExecutionEnvironment) -> None:
    """Sends the code that runs inside Flink (udfs/ and the generated protobuf code) along with the job."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-"))
    package = folder / "code"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "udfs", package / "udfs", ignore=ignore)
    shutil.copytree(ROOT / "proto" / "shop", package / "shop", ignore=ignore)
    env.add_python_file(shutil.make_archive(str(folder / "millrace"), "zip", package))


def insight_sinks(settings: Settings) -> list[str]:
    """DDL of the tables that the insights write which are switched on."""
    return [*(sales.sinks(settings) if settings.sales else ())]


def main(arguments: Sequence[str]) -> None:
    settings = parse(arguments)
    rules_folder = Path(settings.rules) if Path(settings.rules).is_absolute() else ROOT / settings.rules
    try:
        rules = baseline.load(rules_folder, settings.destinations, can_mask=bool(settings.mask_key_file))
    except (InvalidRule, OSError) as error:
        sys.exit(f"--rules {settings.rules}: {error}")
    log.info("baseline rules: %s", ", ".join(rules))

    env = StreamExecutionEnvironment.get_execution_environment(configuration(settings))
    _ship_code(env)
    table_env = StreamTableEnvironment.create(env)
    for ddl in (*tables.sources(settings), *tables.sinks(settings), *insight_sinks(settings)):
        table_env.execute_sql(ddl)
    router = RouterSettings(
        baseline_rules=tuple(rules.values()),
        destinations=settings.destinations,
        max_clock_gap_ms=settings.max_clock_gap_ms,
        max_event_bytes=settings.max_event_bytes,
        dead_letter_share_limit=settings.dead_letter_share_limit,
        mask_key_file=settings.mask_key_file,
        rule_counters_ms=settings.rule_counters_ms,
        with_facts=settings.sales or settings.recommendations,
    )
    pipeline.build(env, table_env, router, settings).attach_as_datastream()
    uids.assign(env)
    env.execute("millrace")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1:])
