"""`scripts/evaluate WHAT`: measures the insights on simulated traffic, of which it is known what is right."""

from __future__ import annotations

import argparse
import sys

from scripts.evaluation import fraud, recommendations, state_size


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/evaluate", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    fraud.add_command(commands)
    recommendations.add_command(commands)
    state_size.add_command(commands)
    options = parser.parse_args()
    sys.exit(options.run(options))


if __name__ == "__main__":
    main()
