"""The command line of `scripts/millrace`. Exit codes: 0 done, 1 a finding or a refusal, 2 wrong usage or no connection."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kafka.errors import KafkaError

from jobs.access import AccessError
from jobs.settings import Topics
from scripts import access
from scripts.chaos import command as chaos
from scripts.control import changes, offline
from scripts.control.output import CommandError
from scripts.job_app import command as job
from scripts.operate import command as operate
from scripts.planning import command as planning

_RULES = """Checks, tries, changes and shows the rules that say which events go where. docs/rules.md says what a rule may hold.

The usual way of a new rule: lint, test, dry-run, push it with `mode: shadow`, look at list, promote. If it is wrong: pause, rollback."""
_EXIT_CODES = "COMMAND --help has examples. Exit codes: 0 done, 1 a finding or a refusal, 2 wrong usage or no answer. --json for programs."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/millrace", description="Operates millrace.", allow_abbrev=False)
    groups = parser.add_subparsers(title="groups", required=True, metavar="GROUP")
    rules = groups.add_parser(
        "rules", help="check, try, change and look at routing rules", description=_RULES, epilog=_EXIT_CODES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = rules.add_subparsers(title="commands", required=True, metavar="COMMAND")
    offline.add_commands(commands)
    changes.add_commands(commands)
    job.add_commands(groups)
    chaos.add_command(groups)
    planning.add_commands(groups)
    operate.add_commands(groups, parser)
    own, job_options = job.split(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(own, argparse.Namespace(takes_job_options=False))
    if job_options and not options.takes_job_options:
        parser.error(f"unrecognized arguments: -- {' '.join(job_options)}")
    options.job_options = job_options
    try:
        if getattr(options, "kafka_config", ""):
            options.bootstrap = access.brokers(options, getattr(options, "needs", access.rules_reader)(Topics(options.topic_prefix)))
        code: int = options.run(options)
    except CommandError as error:
        print(f"millrace: {error}", file=sys.stderr)
        return error.exit_code
    except AccessError as error:
        print(f"millrace: {error}", file=sys.stderr)
        return 2
    except KafkaError as error:
        print(f"millrace: Kafka: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
