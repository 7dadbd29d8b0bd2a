"""`scripts/evaluate state`: how large the state of recommendations and trends grows over a long run.

The simulated shop, with another collection of products every `--renewed-every` events, so that there is always something new to
remember and something old to forget. What is counted is what a state backend would hold: the packed state of each product and category.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, Final

from scripts.control.tables import table
from scripts.evaluation.interactions import Interaction, simulated_batches
from scripts.evaluation.learning import Learner, Lengths
from udfs.recommendations import trending
from udfs.recommendations.rows import MOST_NEIGHBOURS

_HEADS: Final = ("events", "products", "most neighbours", "largest state, bytes", "all products, MB", "trends, bytes", "popularity, bytes")


def add_command(commands: Any) -> None:
    """Adds the command to an argparse subparsers object."""
    parser = commands.add_parser("state", help="size of the recommendations' state over a long run", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="(default: 10000000)")
    parser.add_argument("--rate", type=float, default=2_000.0, help="events per second of event time (default: 2000)")
    parser.add_argument("--renewed-every", type=int, default=1_000_000, metavar="N", help="events of one collection (default: 1000000)")
    parser.add_argument("--memory-ms", type=int, default=900_000, help="as --recommendation-memory-ms of the job (default: 15 minutes)")
    parser.add_argument("--seed", type=int, default=1)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    rows = []
    for events, learner in grow(options.events, options.rate, options.renewed_every, options.memory_ms, options.seed):
        rows.append([f"{number:,}" for number in (events, *size(learner))])
        if sys.stderr.isatty():
            print(f"\r{events:,} of {options.events:,} ", end="", file=sys.stderr, flush=True)
    print(*table(_HEADS, rows, right=_HEADS), sep="\n")
    print(f"\nbounds: {MOST_NEIGHBOURS} neighbours of each kind and product, {trending.CAPACITY} products of a category")
    return 0


def grow(events: int, rate: float, renewed_every: int, memory_ms: int, seed: int, steps: int = 20) -> Iterator[tuple[int, Learner]]:
    """Learns from `events`; yields the number so far and the learner, `steps` times."""
    learner, learned = Learner(Lengths()), 0
    for batch in simulated_batches(seed, events, rate):
        for event in batch:
            learner.learn(_of_collection(event, learned // renewed_every))
            learned += 1
            if learned % (events // steps) == 0:
                learner.forget(event.time_ms - memory_ms)
                yield learned, learner


def _of_collection(event: Interaction, number: int) -> Interaction:
    return event._replace(items=tuple((f"{product}-{number}", category) for product, category in event.items))


def size(learner: Learner) -> tuple[int, int, int, float, int, int]:
    """Products, most neighbours of a kind, bytes of the largest product, MB of all of them, bytes of all trends, of the popularity."""
    states = [len(product.packed()) for product in learner.products.values()]
    most = max((max(len(product.viewed.sums), len(product.bought.sums)) for product in learner.products.values()), default=0)
    trends = sum(len(trend.packed()) for trend in learner.trends.values())
    return len(states), most, max(states, default=0), round(sum(states) / 1e6, 1), trends, len(learner.popularity.packed())
