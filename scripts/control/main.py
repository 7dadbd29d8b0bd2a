"""The command line of `scripts/millrace`. Exit codes: 0 done, 1 a finding or a refusal, 2 wrong usage or no connection."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kafka.errors import KafkaError

from scripts.chaos import command as chaos
from scripts.control import changes, offline
from scripts.control.output import CommandError
from scripts.operate import command as operate


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/millrace", description="Operates millrace.", allow_abbrev=False)
    groups = parser.add_subparsers(title="groups", required=True, metavar="GROUP")
    rules = groups.add_parser("rules", help="check, try, change and look at routing rules", allow_abbrev=False)
    commands = rules.add_subparsers(title="commands", required=True, metavar="COMMAND")
    offline.add_commands(commands)
    changes.add_commands(commands)
    chaos.add_command(groups)
    operate.add_commands(groups, parser)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except CommandError as error:
        print(f"millrace: {error}", file=sys.stderr)
        return error.exit_code
    except KafkaError as error:
        print(f"millrace: Kafka: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
