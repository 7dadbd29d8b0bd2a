"""`scripts/evaluate recommendations`: how often the next product that a visitor turns to is among the ten recommended.

The first 80 % of the time are learned from; then nothing is learned any more. In the rest, for each product that is new to its
session, the ten are asked for that the job would have answered after the event before; hit rate@10 is the share of questions whose
answer held the product, MRR@10 the mean of 1 / place (0 if it is not there). Visitors who only look at one product ask nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from scripts.control.tables import table
from scripts.evaluation.interactions import COLUMNS, KINDS, Interaction, LogError, from_csv, simulated
from scripts.evaluation.learning import Learner, Lengths
from udfs.recommendations.answers import next_items
from udfs.recommendations.neighbours import PUBLISHED, Scored
from udfs.recommendations.rows import STEPS

_LEARNED: Final = 0.8
_AGEING: Final = 0.6
"""For comparison: weight of each product of a session against the one after it."""

Answer = Callable[[Sequence[tuple[str, str]]], list[str]]
"""From the last products of a session (with their categories, newest first) to what is recommended."""


class Measure:
    """Hits and reciprocal ranks of each way to recommend."""

    def __init__(self, ways: Iterable[str]) -> None:
        self.questions = 0
        self.hits = dict.fromkeys(ways, 0)
        self.reciprocal_ranks = dict.fromkeys(self.hits, 0.0)

    def count(self, way: str, answer: list[str], product: str) -> None:
        if product in answer:
            self.hits[way] += 1
            self.reciprocal_ranks[way] += 1 / (answer.index(product) + 1)

    def rates(self) -> dict[str, tuple[float, float]]:
        """Way -> hit rate, MRR."""
        asked = max(1, self.questions)
        return {way: (hits / asked, self.reciprocal_ranks[way] / asked) for way, hits in self.hits.items()}


def measure(log: Sequence[Interaction], lengths: Lengths) -> Measure:
    """Learns from the first part of `log`, which is in the order of time, and asks in the rest of it."""
    border_ms = log[0].time_ms + _LEARNED * (log[-1].time_ms - log[0].time_ms)
    learner = Learner(lengths)
    for event in log:
        if event.time_ms < border_ms:
            learner.learn(event)
    learner.close()
    ways = _ways(learner)
    found = Measure(ways)
    seen: defaultdict[str, set[str]] = defaultdict(set)
    last: defaultdict[str, deque[tuple[str, str] | None]] = defaultdict(lambda: deque(maxlen=STEPS + 1))
    for event in log:
        if event.time_ms < border_ms:
            continue
        if event.kind not in ("V", "C"):
            last[event.session_id].appendleft(None)
            continue
        product = event.items[0][0]
        # As the job answers: at the last event that was about a product.
        recent = [each for each in last[event.session_id] if each is not None]
        if recent and product not in seen[event.session_id]:
            found.questions += 1
            for way, answer in ways.items():
                found.count(way, answer(recent), product)
        seen[event.session_id].add(product)
        last[event.session_id].appendleft(event.items[0])
    return found


def _ways(learner: Learner) -> dict[str, Answer]:
    """What is compared; all leave out what the session has just seen."""
    popular = learner.popularity.largest
    neighbours = cache(learner.neighbours)

    def trending(category: str) -> Scored:
        return learner.trends[category].sums.largest(PUBLISHED + STEPS + 1) if category in learner.trends else []

    def answer(ranked: Callable[[Sequence[tuple[str, str]]], Scored], recent: Sequence[tuple[str, str]]) -> list[str]:
        return [product for product, _ in next_items(ranked(recent), popular, [product for product, _ in recent])]

    def of_several(recent: Sequence[tuple[str, str]]) -> Scored:
        scores: defaultdict[str, float] = defaultdict(float)
        for age, product in enumerate(dict.fromkeys(product for product, _ in recent)):
            for other, score in neighbours(product):
                scores[other] += score * _AGEING**age
        return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))

    return {
        "popularity": partial(answer, lambda recent: []),
        "trending in the category": partial(answer, lambda recent: trending(recent[0][1])),
        "neighbours of the last product (the job)": partial(answer, lambda recent: neighbours(recent[0][0])),
        "neighbours of the last products": partial(answer, of_several),
    }


def add_command(commands: Any) -> None:
    """Adds the command to an argparse subparsers object."""
    parser = commands.add_parser("recommendations", help="hit rate and MRR of next items, against popularity", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--seeds", type=_seeds, default=[101, 102, 103, 104, 105], metavar="N,N", help="one run of the simulated shop each")
    source.add_argument(
        "--csv", type=Path, metavar="FILE",
        help=f"a session log instead: columns {', '.join(COLUMNS)}; event is {', '.join(KINDS)}, time is ISO or ms since the epoch",
    )  # fmt: skip
    parser.add_argument("--events", type=int, default=400_000, help="of each simulated run (default: 400000)")
    parser.add_argument("--rate", type=float, default=500.0, help="events per second of event time (default: 500)")
    for name, default in vars(Lengths()).items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=default, metavar="MS", help=f"as the job's {option} (default: {default})")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run)


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _of_seed(seed: int, events: int, rate: float, lengths: Lengths) -> Measure:
    return measure(simulated(seed, events, rate), lengths)


def _run(options: argparse.Namespace) -> int:
    lengths = Lengths(**{name: getattr(options, name) for name in vars(Lengths())})
    if options.csv:
        try:
            found = {str(options.csv): measure(from_csv(options.csv), lengths)}
        except LogError as error:
            print(f"evaluate: {error}", file=sys.stderr)
            return 2
    else:
        one = partial(_of_seed, events=options.events, rate=options.rate, lengths=lengths)
        with ProcessPoolExecutor(2) as pool:
            found = dict(zip(map(str, options.seeds), pool.map(one, options.seeds), strict=True))
    if options.json:
        shown = {name: {"questions": each.questions, "rates": each.rates()} for name, each in found.items()}
        print(json.dumps(shown))
        return 0
    print(f"{', '.join(found)}: {sum(each.questions for each in found.values()):,} questions\n")
    rates = [each.rates() for each in found.values()]
    rows = [[way, *(_spread([run[way][index] for run in rates]) for index in (0, 1))] for way in rates[0]]
    heads = ("recommended by", f"hit rate@{PUBLISHED}", f"MRR@{PUBLISHED}")
    print(*table(heads, rows, right=heads[1:]), sep="\n")
    return 0


def _spread(values: Sequence[float]) -> str:
    """Mean, and between which values."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"
