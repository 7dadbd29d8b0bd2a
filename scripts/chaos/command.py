"""`scripts/millrace chaos`: faults on the real stack under load, and the proof that nothing is lost and nothing comes twice."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.chaos import namespaces, report
from scripts.chaos.model import Cell, FaultFileError, by_shape, choose, load
from scripts.chaos.result import Result
from scripts.chaos.run import Ground, Runner
from scripts.chaos.schedule import plan
from scripts.control.output import CommandError


def add_command(groups: Any) -> None:
    """Adds `chaos` to the groups of scripts/millrace."""
    parser = groups.add_parser("chaos", help="kill, pause and cut off parts of a local stack under load, and check that nothing is lost",
                               description=__doc__, allow_abbrev=False)  # fmt: skip
    parser.add_argument("--faults", default="all", metavar="A,B|all|short", help="which cells (default: all)")
    parser.add_argument("--seed", type=int, help="of schedule and load: the same seed, the same schedule (default: a new one)")
    parser.add_argument("--for", type=float, dest="for_s", metavar="S", help="faults for so long in each cell (default: as its file says)")
    parser.add_argument("--list", action="store_true", help="only show the cells, and with --seed what would happen when")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write report.json and a picture of each cell there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0: all is well, 1: a check failed, 2: wrong usage."""
    try:
        cells = choose(load(), options.faults)
    except FaultFileError as error:
        raise CommandError(str(error)) from error
    if options.list:
        _list(cells, options)
        return 0
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    missing = None
    if any(cell.stack.needs_namespaces for cell in cells) and not namespaces.inside():
        missing = namespaces.missing()
        if missing is None:
            namespaces.enter(["-m", "scripts.control.main", *_again(options, seed)])
    if namespaces.inside():
        namespaces.loopback_up()
    print(f"seed {seed}", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends what it started
    results = _run(by_shape(cells), seed, options, missing)
    if options.json:
        print(json.dumps({"seed": seed, "ok": all(each.ok for each in results), "cells": [each.to_json() for each in results]}))
    else:
        report.show(results, Console(width=None if sys.stdout.isatty() else 200))
    return 0 if all(each.ok for each in results) else 1


def _run(cells: list[Cell], seed: int, options: argparse.Namespace, missing: str | None) -> list[Result]:
    folder = Path(tempfile.mkdtemp(prefix="millrace-chaos-"))
    ground = Ground(folder)
    runner = Runner(ground, seed, options.for_s, lambda text: print(text, file=sys.stderr, flush=True), missing)
    results = []
    try:
        for cell in cells:
            result = runner.run(cell)
            results.append(result)
            if options.report:  # after each cell: a long run that is ended half-way has a report
                report.write(options.report, seed, results)
            lines = "; ".join(report.problems(result))
            print(f"{cell.name}: {result.outcome}{': ' + lines if lines else ''}", file=sys.stderr, flush=True)
    finally:
        ground.down()
    if not all(each.ok for each in results):
        print(f"logs and ledgers: {folder}", file=sys.stderr)
    return results


def _again(options: argparse.Namespace, seed: int) -> list[str]:
    """The same command, with the seed that was drawn."""
    arguments = ["chaos", "--faults", options.faults, "--seed", str(seed)]
    arguments += ["--for", str(options.for_s)] if options.for_s is not None else []
    arguments += ["--json"] if options.json else []
    return [*arguments, *(["--report", str(options.report)] if options.report else [])]


def _list(cells: list[Cell], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps([cell.model_dump(mode="json") for cell in cells], indent=1))
        return
    for cell in cells:
        print(f"{cell.name}{' (short)' if cell.short else ''}\n    {cell.description.strip()}")
        if options.seed is not None:
            for act in plan(cell, options.seed, options.for_s):
                target = f" {act.target}" if act.target else ""
                print(f"    {act.number}. after {act.after_s:g} s: {cell.fault.kind}{target} for {act.for_s:g} s")
