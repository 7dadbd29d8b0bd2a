"""`scripts/bench`: throughput and latency of the whole job on this machine, on a Kafka and a Flink of its own.

Prints one table in Markdown for each. The machine is part of the result: look at ratios before you look at figures.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import signal
import statistics
import sys
import timeit
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import psutil
from shop.v1.events_pb2 import Event

from jobs.settings import Guarantee
from scripts.benchmark import (
    alerts,
    costs,
    cpu,
    crossing,
    curves,
    insights,
    latency,
    regression,
    rules_load,
    skew,
    soak,
    startup,
    throughput,
    tries,
)
from scripts.benchmark.peers import latency as peers_latency
from scripts.benchmark.peers import part
from scripts.benchmark.peers.candidates import CANDIDATES
from scripts.benchmark.peers.tasks import TASKS
from scripts.benchmark.spread import spread
from scripts.benchmark.variations import VARIATIONS
from scripts.stack import Stack, StackError
from scripts.stack.paths import STATE

_SET_UPS = "1:thread:rocksdb,2:thread:rocksdb,1:process:rocksdb,2:process:rocksdb,1:thread:hashmap,2:thread:hashmap"
_SET_UP = r"([124]):(thread|process):(rocksdb|hashmap)"
_THREADS_SHOWN = 12
_RULE_COUNTS = (10, 1_000)
_SECONDS = 30
_LENGTHS = {"curves": curves.SECONDS, "soak": soak.SECONDS}
_SOAK_LOAD = 0.70
_LATENCY_OPTIONS = ("--lateness-ms", "500")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000, help="records in the prefilled topic (default: 2000000)")
    parser.add_argument("--runs", type=int, default=1, help="of each throughput set-up, rounds of tries; medians are shown (default: 1)")
    parser.add_argument(
        "--warm-ups",
        type=int,
        metavar="N",
        help="runs before those that count, on the same JVMs: of each throughput set-up (default: 0), and for --only peers of each "
        f"candidate on Flink (default: {part.WARM_UPS})",
    )
    parser.add_argument("--rate", type=int, default=2_000, help="events per second for latency (default: 2000)")
    lengths = ", ".join(f"{seconds} for --only {name}" for name, seconds in _LENGTHS.items())
    parser.add_argument("--seconds", type=int, default=0, help=f"length of a latency run (default: {_SECONDS}; {lengths})")
    parser.add_argument(
        "--warm-up-s", type=int, default=latency.WARM_UP_S, metavar="S",
        help=f"seconds that do not count, before each latency run of latency, load and peers-latency (default: {latency.WARM_UP_S})",
    )  # fmt: skip
    parser.add_argument(
        "--loads", default="10,25,50,75", type=_percents, metavar="PERCENT,…",
        help="for --only load: latency at these shares of the greatest rate (default: 10,25,50,75)",
    )  # fmt: skip
    parser.add_argument(
        "--max-rate", type=float, default=0, help="for --only load and soak: the greatest rate, if it is known (default: measure it)"
    )
    parser.add_argument("--backend", choices=("hashmap", "rocksdb"), default="hashmap", help="of --only load and soak (default: hashmap)")
    parser.add_argument(
        "--guarantees", default=",".join(Guarantee), type=_some_of([*Guarantee]), metavar="A,B", help="for --only load (default: both)"
    )
    parser.add_argument("--set-ups", default=_SET_UPS, type=_set_ups, help=f"parallelism:mode:backend,... (default: {_SET_UPS})")
    parser.add_argument("--compact", action="store_true", help="64-byte events, to compare with trials of that size")
    parser.add_argument("--only", choices=(*_PARTS, _START), help="one part")
    parser.add_argument(
        "--against", metavar="REV", help="only this: CPU time per event of what runs in Python, beside that of another revision; seconds"
    )
    parser.add_argument("--job-options", default="", help="more options for jobs/main.py, space-separated")
    _add_curves(parser)
    _add_peers(parser)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="for --only peers and curves: draw what was measured there (SVG)")
    parser.add_argument(
        "--flink-option", action="append", default=[], metavar="KEY=VALUE", help="of Flink's configuration; may be repeated"
    )
    options = parser.parse_args()
    if options.settings:
        known = _CHOICES.get(options.only) or parser.error("--settings is for --only curves and --only tries")
        try:
            options.settings = _some_of(known)(options.settings)
        except argparse.ArgumentTypeError as error:
            parser.error(f"--settings: {error}")
    options.seconds = options.seconds or _LENGTHS.get(options.only, _SECONDS)
    if options.against:
        sys.exit(_against(options.against))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else Kafka and Flink would outlive it
    workdir = STATE / "bench"
    shutil.rmtree(workdir, ignore_errors=True)
    print(_machine(), flush=True, file=sys.stderr if options.only == "costs" else sys.stdout)  # that one prints a file
    try:
        own_options = _FINE_COUNTERS if options.only == "tries" else {}
        flink_options = {**own_options, **dict(each.split("=", 1) for each in options.flink_option)}
        if options.only == _START:
            startup.run(workdir, int(options.set_ups[0][0]), flink_options, options.job_options.split(), options.runs)
            return
        with Stack(workdir, parallelism=_task_managers(options), flink_options=flink_options) as stack:
            stack.create_topics()
            for name, measure in _PARTS.items():
                if options.only == name or (options.only is None and name not in _ASKED_FOR):
                    measure(stack, options)
    except StackError as error:
        sys.exit(f"millrace: {error}")


def _task_managers(options: argparse.Namespace) -> int:
    """How many are started: of one slot each, so as many as the largest of the set-ups needs."""
    largest = max((int(parallelism) for parallelism, _, _ in options.set_ups), default=1)
    return 1 if options.only in _ONE_JVM else max(2, largest)


def _against(revision: str) -> int:
    try:
        verdict = regression.check(revision)
    except regression.NotComparable as error:
        print(f"millrace: {error}", file=sys.stderr)
        return 2
    print(verdict.line)
    return 0 if verdict.ok else 1


def _add_curves(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "--only curves, --only tries",
        "curves: latency and CPU time against each setting, open loop at --rate, some 30 minutes for all. "
        "tries: what was tried to make an event cost less, each against its base, --runs rounds, best with --events 300000: "
        "some 25 minutes, and 15 for each round after the first",
    )
    known = "; ".join(f"{part}: {', '.join(names)}" for part, names in _CHOICES.items())
    group.add_argument("--settings", metavar="A,B", help=f"which (default: all); {known}")


def _add_peers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "--only peers, --only peers-latency", "millrace beside others, in environments of their own under .millrace/peers"
    )
    group.add_argument("--tasks", default=",".join(TASKS), type=_some_of(TASKS), help=f"of {', '.join(TASKS)} (default: all)")
    group.add_argument(
        "--candidates", default=",".join(CANDIDATES), type=_some_of(CANDIDATES), help=f"of {', '.join(CANDIDATES)} (default: all)"
    )
    group.add_argument("--bound-ms", type=int, default=500, help="how long order waits for events that come late (default: 500)")
    group.add_argument(
        "--rates", default="2000,10000", type=_rates, metavar="N,…", help="of peers-latency: events per second (default: 2000,10000)"
    )


def _some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
        return names

    return parse


def _rates(text: str) -> list[int]:
    rates = [int(each) for each in text.split(",")]
    if min(rates) <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return rates


def _percents(text: str) -> list[float]:
    shares = [float(each) for each in text.split(",")]
    if not all(0 < share <= 100 for share in shares):
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 100, got {text}")
    return shares


def _set_ups(text: str) -> list[tuple[str, str, str]]:
    """ "1:thread:rocksdb,…" -> parallelism, Python mode and state backend of each."""
    found = re.fullmatch(_SET_UP + r"(," + _SET_UP + r")*", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of [1|2|4]:[thread|process]:[rocksdb|hashmap]")
    return [(parallelism, mode, backend) for parallelism, mode, backend in re.findall(_SET_UP, text)]


def _throughput(stack: Stack, options: argparse.Namespace) -> None:
    throughput.prefill(stack, options.events, options.compact)
    size = "64-byte" if options.compact else "realistic"
    print(f"\nThroughput, exactly-once, {options.events:,} {size} events, start-up left out, median of {options.runs}\n")
    print("| parallelism | Python mode | state backend | events/s | CPU us/event | events per core-second |")
    print("|---|---|---|---|---|---|", flush=True)
    threads = []
    for number, (parallelism, mode, backend) in enumerate(options.set_ups):
        job_options = ("--parallelism", parallelism, "--python-mode", mode, "--state-backend", backend, *options.job_options.split())
        warm_ups = options.warm_ups or 0
        every = range(warm_ups + options.runs)
        runs = [throughput.measure(stack, options.events, f"bench-{number}-{run}", *job_options) for run in every][warm_ups:]
        rate = spread([run.events_per_s for run in runs], 0)
        cpu_us = [run.cpu_us_per_event for run in runs]
        per_core = 1e6 / statistics.median(cpu_us)
        print(f"| {parallelism} | {mode} | {backend} | {rate} | {spread(cpu_us, 1)} | {per_core:,.0f} |", flush=True)
        threads.append(f"{parallelism}, {mode}, {backend}: {_costliest(runs[-1].cpu_us_by_thread)}")
    print("\nThreads that cost most, CPU us/event\n")
    print("\n".join(f"- {line}" for line in threads), flush=True)


def _latency(stack: Stack, options: argparse.Namespace) -> None:
    stack.create_topics(latency.TOPICS)
    print(f"\nLatency in ms at {options.rate:,} events/s, lateness bound 500 ms, parallelism 1, thread mode\n")
    print("| guarantee | order | events | p50 | p95 | p99 |\n|---|---|---|---|---|---|", flush=True)
    stretch = latency.Stretch(options.seconds, options.warm_up_s)
    job_options = ("--parallelism", "1", *_LATENCY_OPTIONS, *options.job_options.split())
    for guarantee in (Guarantee.AT_LEAST_ONCE, Guarantee.EXACTLY_ONCE):
        for result in latency.measure(stack, options.rate, stretch, guarantee, f"latency-{guarantee}", *job_options):
            print(result.line(), flush=True)


def _load(stack: Stack, options: argparse.Namespace) -> None:
    stack.create_topics(latency.TOPICS)
    print("\nLatency in ms against load, lateness bound 500 ms, parallelism 1, thread mode, " + options.backend)
    print("`input`: until a consumer of the input holds the event, without any job between")
    for guarantee in options.guarantees:
        maximum = _greatest_rate(stack, options, guarantee)
        print(f"\n{guarantee}: at most {maximum:,.0f} events/s\n")
        print("| load | events/s | kept up | guarantee | order | events | p50 | p95 | p99 |\n|---|---|---|---|---|---|---|---|---|")

        threads: dict[int, dict[str, float]] = {}
        measure_at = partial(_at_rate, stack, options, guarantee, threads)
        for result in latency.against_load(measure_at, maximum, [share / 100 for share in options.loads], options.seconds):
            print(result.line(), flush=True)
        print("\nCPU us/event by thread, the generator and the reader left out\n")
        for rate, cpu_us in threads.items():
            print(f"- {rate:,} events/s, {sum(cpu_us.values()):.0f} in all: {_costliest(cpu_us)}", flush=True)


def _at_rate(
    stack: Stack, options: argparse.Namespace, guarantee: str, threads: dict[int, dict[str, float]], rate: int
) -> list[latency.Latency]:  # fmt: skip
    """Latency at one rate; puts the CPU time by thread that it cost into `threads`."""
    marks: list[dict[str, float]] = []
    found = latency.measure(
        stack, rate, latency.Stretch(options.seconds, options.warm_up_s), guarantee, f"load-{guarantee}-{rate}", *_under_load(options),
        topics=latency.WITH_INPUT, mark=lambda: marks.append(cpu.by_thread_s(stack)),
    )  # fmt: skip
    began, ended = marks
    threads[rate] = cpu.between(began, ended, rate * options.seconds)
    return found


def _costliest(cpu_us: Mapping[str, float]) -> str:
    """The threads that cost most; they come in this order."""
    return ", ".join(f"{name} {us:.1f}" for name, us in list(cpu_us.items())[:_THREADS_SHOWN])


def _under_load(options: argparse.Namespace) -> tuple[str, ...]:
    return ("--parallelism", "1", "--state-backend", options.backend, *_LATENCY_OPTIONS, *options.job_options.split())


def _greatest_rate(stack: Stack, options: argparse.Namespace, guarantee: str) -> float:
    """Of the job under `_under_load`, by the same rules, from a full topic, as for throughput: each guarantee has a maximum of its own."""
    if options.max_rate:
        return float(options.max_rate)
    throughput.prefill(stack, options.events, options.compact)
    how = ("--guarantee", guarantee, "--rules", str(latency.RULES))
    runs = [throughput.measure(stack, options.events, f"greatest-{guarantee}-{run}", *_under_load(options), *how) for run in range(2)]
    return runs[-1].events_per_s  # behind one in which the JVM still compiles


def _soak(stack: Stack, options: argparse.Namespace) -> None:
    maximum = _greatest_rate(stack, options, Guarantee.EXACTLY_ONCE)
    print(f"\nat most {maximum:,.0f} events/s with {options.backend}, parallelism 1, thread mode", flush=True)
    soak.run(stack, round(maximum * _SOAK_LOAD), options.seconds, _under_load(options))


def _alerts(stack: Stack, options: argparse.Namespace) -> None:
    stack.create_topics(alerts.TOPICS)
    print(f"\nFraud alerts at {options.rate:,} events/s, ms from event to alert, lateness bound 500 ms, parallelism 1, thread mode\n")
    print("| guarantee | signal | alerts | p50 | p95 | p99 |\n|---|---|---|---|---|---|", flush=True)
    for guarantee in (Guarantee.AT_LEAST_ONCE, Guarantee.EXACTLY_ONCE):
        for result in alerts.measure(
            stack, options.rate, options.seconds, guarantee, f"alerts-{guarantee}", "--parallelism", "1",
            *_LATENCY_OPTIONS, *options.job_options.split(),
        ):  # fmt: skip
            signal = "in order of the session (no-view)" if result.order == "session" else "at once"
            percentiles = f"{result.p50:.0f} | {result.p95:.0f} | {result.p99:.0f}"
            print(f"| {result.guarantee} | {signal} | {result.events} | {percentiles} |", flush=True)


def _rules(stack: Stack, options: argparse.Namespace) -> None:
    print(f"\nRule changes under {options.rate:,} events/s: ms until a change is in force on all {stack.parallelism} subtasks\n")
    print("| changes | p50 | p99 | slowest |\n|---|---|---|---|")
    stack.create_topics(rules_load.TOPICS)
    times = rules_load.measure_changes(stack, options.rate, 200, "changes", *options.job_options.split())
    print(f"| {times.changes} | {times.p50:.0f} | {times.p99:.0f} | {times.slowest:.0f} |", flush=True)

    throughput.prefill(stack, options.events, options.compact)
    print(f"\nThroughput by number of rules, {options.events:,} events, parallelism 1, thread mode, hashmap, median of {options.runs}\n")
    print("| rules | events/s | CPU us/event | events per core-second |\n|---|---|---|---|", flush=True)
    for count in _RULE_COUNTS:
        folder = rules_load.write_rules(stack.workdir / f"rules-{count}", count)
        job_options = ("--parallelism", "1", "--state-backend", "hashmap", "--rules", str(folder), *options.job_options.split())
        runs = [throughput.measure(stack, options.events, f"rules-{count}-{run}", *job_options) for run in range(options.runs)]
        rate = statistics.median(run.events_per_s for run in runs)
        cpu_us = statistics.median(run.cpu_us_per_event for run in runs)
        print(f"| {count:,} | {rate:,.0f} | {cpu_us:.1f} | {1e6 / cpu_us:,.0f} |", flush=True)


def _insights(stack: Stack, options: argparse.Namespace) -> None:
    throughput.prefill(stack, options.events, options.compact)
    print(f"\nWhole job against routing only, {options.events:,} events, parallelism 1, thread mode, median of {options.runs} pairs\n")
    print("| state backend | job | events/s | CPU us/event | whole / routing only |\n|---|---|---|---|---|", flush=True)
    added = []
    for backend in ("rocksdb", "hashmap"):
        compared = insights.run(stack, options.events, backend, options.runs, options.job_options.split())
        print("\n".join(compared.lines(backend)), flush=True)
        added.append(f"{backend}: {_costliest(compared.costs())}")
    print("\nThreads to which the insights add most, CPU us/event\n")
    print("\n".join(f"- {line}" for line in added), flush=True)


def _skew(stack: Stack, options: argparse.Namespace) -> None:
    skew.run(stack, options.events, options.job_options.split())


def _costs(stack: Stack, options: argparse.Namespace) -> None:
    throughput.prefill(stack, options.events, options.compact)
    costs.run(stack, options.events, _machine(), options.job_options.split())


def _curves(stack: Stack, options: argparse.Namespace) -> None:
    curves.run(
        stack, options.rate, options.seconds, options.settings or list(curves.SETTINGS), options.pictures, options.job_options.split()
    )  # fmt: skip


def _tries(stack: Stack, options: argparse.Namespace) -> None:
    tries.run(
        stack, options.events, options.compact, options.settings or list(VARIATIONS), options.runs, options.job_options.split()
    )  # fmt: skip


def _crossing(stack: Stack, options: argparse.Namespace) -> None:
    crossing.run(stack, options.events, options.compact)


def _peers(stack: Stack, options: argparse.Namespace) -> None:
    chosen = part.Plan(
        options.events, options.compact, options.runs, options.tasks, options.candidates, options.bound_ms,
        part.WARM_UPS if options.warm_ups is None else options.warm_ups, pictures=options.pictures,
    )  # fmt: skip
    part.run(stack, chosen)


def _peers_latency(stack: Stack, options: argparse.Namespace) -> None:
    tasks = [name for name in options.tasks if TASKS[name].routes]
    stretch = latency.Stretch(options.seconds, options.warm_up_s)
    peers_latency.run(stack, peers_latency.Plan(tasks, options.candidates, options.rates, stretch, options.bound_ms))


def _machine() -> str:
    cpu_info = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in cpu_info if line.startswith("model name")]
    memory = psutil.virtual_memory().total // 2**30
    processor = names[0] if names else platform.machine()
    machine = f"{psutil.cpu_count()} cores ({processor}), {memory} GiB, {platform.system()} {platform.release()}"
    return f"{machine}; yardstick: {_yardstick():,.0f} bare protobuf parses per second on one core"


def _yardstick() -> float:
    """How fast this machine is now: parses of one realistic event per second, the best of five."""
    event = Event(event_id="0" * 36, session_id="s" * 18, user_id="u-12345", event_time_ms=1_700_000_000_000)
    event.product_viewed.product_id, event.product_viewed.category = "p-12345", "garden"
    event.product_viewed.price.amount_minor, event.product_viewed.price.currency = 1999, "USD"
    event.source.app, event.source.ip, event.source.device_id, event.source.country = "web", "10.0.0.1", "d-123456789", "DE"
    value = event.SerializeToString()
    return 100_000 / min(timeit.repeat(lambda: Event.FromString(value), number=100_000, repeat=5))


_PARTS = {
    "latency": _latency, "load": _load, "alerts": _alerts, "rules": _rules, "insights": _insights, "throughput": _throughput,
    "skew": _skew, "costs": _costs, "peers": _peers, "peers-latency": _peers_latency, "curves": _curves, "tries": _tries,
    "crossing": _crossing, "soak": _soak,
}  # fmt: skip
_START = "start"
"""The part that starts a stack of its own."""
_ASKED_FOR = {"load", "skew", "costs", "peers", "peers-latency", "curves", "tries", "crossing", "soak"}
"""Parts that run only by --only: these take long, and peers installs what nothing else needs."""
_CHOICES: dict[str, Collection[str]] = {"curves": curves.SETTINGS, "tries": VARIATIONS}
"""Parts that --settings chooses from."""
_ONE_JVM = {*_CHOICES, "crossing"}
"""Parts with one TaskManager, so that each of their jobs runs where those before it ran and nothing is compiled any more."""
_FINE_COUNTERS = {"metrics.fetcher.update-interval": "500"}
"""A try lasts for some ten seconds: Flink must tell more often how far it is."""

if __name__ == "__main__":
    main()
