"""The rules in force: those of the baseline folder, overlaid by the topic `rules` as the job does it."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from jobs import baseline
from jobs.settings import Topics
from scripts.control.output import CommandError, destinations
from scripts.control.reading import read_topic
from scripts.control.sources import RULES
from udfs.kafka_client import Brokers
from udfs.rules.language import InvalidRule, Rule
from udfs.rules.rulebook import ACCEPTED, Rulebook

RuleTexts = dict[str, tuple[Rule, str]]
"""Rule id -> the rule, and its JSON text."""


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """The option --baseline of a command that asks for the rules in force."""
    parser.add_argument("--baseline", type=Path, default=RULES, metavar="FOLDER", help="rules that the job started with (default: rules/)")


def in_force_of(options: argparse.Namespace) -> RuleTexts:
    """As `read_in_force`, by the options of a command."""
    return read_in_force(options.bootstrap, options.topic_prefix, options.baseline, destinations(options))


def read_in_force(bootstrap: Brokers | str, topic_prefix: str, baseline_folder: Path, allowed: Collection[str]) -> RuleTexts:
    """The rules that a job has which started with this baseline and has read all of the topic.

    Args:
        baseline_folder: as it was when the job started: what is changed there later is not in force.
        allowed: the topics that rules may name.

    Raises:
        CommandError: no broker answers, the topic is missing, or the baseline has a fault.
    """
    updates = read_topic(bootstrap, Topics(prefix=topic_prefix).rules)
    return overlay(read_baseline(baseline_folder, allowed), ((each.key, each.value) for each in updates), allowed)


def read_baseline(folder: Path, allowed: Collection[str]) -> dict[str, str]:
    """The rules of a folder as JSON texts; raises CommandError."""
    try:
        return baseline.load(folder, allowed)
    except InvalidRule as error:
        raise CommandError(f"the baseline {folder} has a fault: {error}", 1) from error
    except OSError as error:
        raise CommandError(f"the baseline can't be read: {error}") from error


def overlay(baseline_texts: Mapping[str, str], updates: Iterable[tuple[bytes, bytes | None]], allowed: Collection[str]) -> RuleTexts:
    """The rules in force after `updates`, which are keys and values of records of the topic, in its order."""
    # Whether the job can mask is not known here. With any key, a rule that masks counts as in force.
    book = Rulebook(baseline_texts.values(), allowed, mask_key=b"any")
    texts = dict(baseline_texts)
    for key, value in updates:
        # As Flink's format `raw` decodes it: what is not UTF-8 becomes a replacement character, and is refused as a rule.
        text = value.decode("utf-8", "replace") if value else None
        update = book.apply(key.decode("utf-8", "replace"), text)
        if update.status == ACCEPTED and text is not None:
            texts[update.rule_id] = text
    return {rule.id: (rule, texts[rule.id]) for rule in book}
