"""`scripts/millrace job`: the command line. Exit codes as of all commands: 0 done, 1 a refusal, 2 wrong usage or no connection."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from jobs import shipping
from jobs.settings import Settings
from scripts.control.output import CommandError, emit
from scripts.job_app.changes import Operator, Start, StartError, check_options, flink_says
from scripts.job_app.cluster import Restorable, jobs, last_ended, option, running
from scripts.stack import Stack, StackError, releases
from scripts.stack.flink import Flink, environment
from scripts.stack.paths import FLINK_HOME, ROOT
from scripts.stack.up import WORKDIR

_ABOUT = """\
Looks at a running job, and changes it without losing or doubling an event: it is stopped with a savepoint, and started from it.
What Kafka gets meanwhile waits there. Options of the job are those it was started with: it tells them itself (Flink's web UI,
"Configuration", user configuration), but for secret Kafka properties, which have to be given again behind `--`."""
_EXAMPLES = {
    "list": "scripts/millrace job list --json",
    "savepoint": "scripts/millrace job savepoint --to s3://bucket/savepoints",
    "stop": "scripts/millrace job stop",
    "start": "scripts/millrace job start --from latest\n"
    "  scripts/millrace job start -- --bootstrap kafka-1:9092 --parallelism 4\n"
    "  scripts/millrace job start --from SAVEPOINT -- --bootstrap kafka-1:9092",
    "rescale": "scripts/millrace job rescale 4",
    "upgrade": "git pull && scripts/millrace job upgrade\n"
    "  scripts/millrace job upgrade --from-dir ../millrace-1.1 -- --kafka-property sasl.jaas.config='...'",
}
_NOTHING = "nothing"


def add_commands(groups: Any) -> None:
    """Adds `job` to the groups of scripts/millrace."""
    group = groups.add_parser("job", help="list, save, stop, start, rescale and upgrade the job, without loss", description=_ABOUT,
                              formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)  # fmt: skip
    commands = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add(commands, "list", _list, "jobs of millrace on the cluster, those that have ended too, and what they can go on from")
    _add(commands, "savepoint", _savepoint, "make a savepoint; the job goes on", "job", "to")
    _add(commands, "stop", _stop, "stop with a savepoint, and print its path", "job", "to")
    start = _add(commands, "start", _start, "start the job, from a savepoint or a checkpoint, or anew", "dir", "options")
    start.add_argument(
        "--from", dest="origin", metavar="SAVEPOINT|latest|nothing",
        help="path of a savepoint or checkpoint; latest: the newest one of the job that ended last here, with its options; nothing: read "
        "all of `events` again, so that all outputs come again (default: nothing, if no job of this --group-id has ended here)",
    )  # fmt: skip
    rescale = _add(commands, "rescale", _rescale, "stop with a savepoint, start at another parallelism", "job", "to", "options")
    rescale.add_argument("parallelism", type=int, metavar="N", help="parallelism of all operators; so many slots are needed")
    _add(commands, "upgrade", _upgrade, "stop with a savepoint, start the code of this checkout, or of another; go back if it does not run",
         "job", "to", "dir", "options")  # fmt: skip


def _add(
    commands: Any, name: str, act: Callable[[argparse.Namespace], int], about: str, *parts: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about[0].upper() + about[1:] + ".", allow_abbrev=False,
        usage="%(prog)s [options]" + (" N" if name == "rescale" else "") + (" [-- OPTIONS OF jobs/main.py]" if "options" in parts else ""),
        epilog=f"example:\n  {_EXAMPLES[name]}", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--flink", metavar="URL[,URL]", help="Flink's REST interface (default: that of scripts/up, or http://127.0.0.1:8081)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--wait", type=float, default=180, metavar="S", help="longest wait for a savepoint, and for a start (default: 180)")
    if "job" in parts:
        parser.add_argument("--job", metavar="ID", help="its id, or the begin of it (default: the only job of millrace that runs)")
    if "to" in parts:
        parser.add_argument("--to", metavar="DIR", help="folder of the savepoint (default: execution.checkpointing.savepoint-dir)")
    if "dir" in parts:
        parser.add_argument("--from-dir", type=Path, default=ROOT, metavar="CHECKOUT", help="whose code (default: this checkout's)")
    if "options" in parts:
        parser.add_argument("--flink-conf", type=Path, metavar="DIR", help="folder of a config.yaml for Flink's client (TLS, credentials)")
    parser.set_defaults(run=lambda options: _guarded(act, options), takes_job_options="options" in parts)
    return parser


def split(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The command's own arguments, and what stands behind `--`: options of the job, each as one word, `--name=value`."""
    if arguments[:1] != ["job"]:
        return [*arguments], ()
    own = list(itertools.takewhile(lambda word: word != "--", arguments))
    joined: list[str] = []
    for word in arguments[len(own) + 1 :]:
        if not word.startswith("--") and joined and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return own, tuple(joined)


def _guarded(act: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    try:
        return act(options)
    except HTTPError as error:
        raise CommandError(f"Flink refuses: {flink_says(error)}", 1) from error
    except OSError as error:
        raise CommandError(f"Flink at {options.flink or 'this machine'}: {error}") from error
    except (StackError, StartError) as error:
        raise CommandError(str(error), 1) from error


def _list(options: argparse.Namespace) -> int:
    found = jobs(_flink(options))
    rows = [("JOB", "STATE", "STARTED (UTC)", "PARALLELISM", "GROUP", "TOPICS", "RELEASE", "GOES ON FROM")]
    for each in found:
        newest = f"{each.newest.path} ({_time(each.newest.time_ms)})" if each.newest else "-"
        rows.append((each.job_id, each.state, _time(each.started_ms), str(each.parallelism), each.group_id, f"{each.topic_prefix}*",
                     each.release, newest))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    emit(options, [each.to_json() for each in found], lines if found else ["no job of millrace is known here"])
    return 0


def _savepoint(options: argparse.Namespace) -> int:
    flink = _flink(options)
    job = running(jobs(flink), options.job)
    path = flink.savepoint(job.job_id, options.wait, options.to)
    emit(options, {"job_id": job.job_id, "savepoint": path}, [path])
    return 0


def _stop(options: argparse.Namespace) -> int:
    flink = _flink(options)
    job = running(jobs(flink), options.job)
    path = flink.stop_with_savepoint(job.job_id, options.wait, options.to)
    resume = Start(ROOT, job.options, path).command(flink.urls)
    emit(options, {"job_id": job.job_id, "savepoint": path, "options": job.options, "resume": resume}, [path])
    _say(f"to go on from it: {resume}")
    return 0


def _start(options: argparse.Namespace) -> int:
    flink, given = _flink(options), options.job_options
    known = jobs(flink)
    before = last_ended(known, option(given, "--group-id"))
    origin: Restorable | None = before.newest if before else None
    if options.origin == "latest":
        if before is None or origin is None:
            raise CommandError("no job that has ended is known here, with something to go on from: name it with --from PATH", 1)
        path, given = origin.path, (*before.options, *given)
    elif options.origin in (None, _NOTHING):
        if before and origin and options.origin is None:
            raise CommandError(f"job {before.job_id} of group {before.group_id} has left {origin.path}: go on from it with --from latest, "
                               "or write all outputs again with --from nothing", 1)  # fmt: skip
        path = None
    else:
        path = options.origin
        given = given or (before.options if before else ())
    given = _with_bootstrap(options, given)
    group_id = option(given, "--group-id") or Settings.group_id
    if twin := next((each for each in known if not each.ended and each.group_id == group_id), None):
        raise CommandError(f"job {twin.job_id} of the same --group-id {group_id} runs: the two would end each other's transactions", 1)
    start = Start(options.from_dir.resolve(), given, path)
    check_options(start.checkout, given)
    try:
        job_id = _operator(options, flink).start(start)
    except StartError as error:
        left = f"Job {error.job_id} is left as it is. " if error.job_id else ""
        raise CommandError(f"{error}. {left}To try again: {start.command(flink.urls)}", 1) from error
    emit(options, {"job_id": job_id, "from": path}, [job_id])
    return 0


def _rescale(options: argparse.Namespace) -> int:
    flink, given = _flink(options), options.job_options
    if options.parallelism < 1:
        raise CommandError(f"N is {options.parallelism}, must be > 0")
    job = running(jobs(flink), options.job)
    if job.parallelism == options.parallelism and not given:
        raise CommandError(f"job {job.job_id} runs at parallelism {job.parallelism} already", 1)
    slots = int(flink.rest("/overview")["slots-available"]) + job.parallelism
    if slots < options.parallelism:
        raise CommandError(f"{options.parallelism} slots are needed, there are {slots}: start more TaskManagers first", 1)
    checkout = releases.find(job.release)
    if checkout is None:
        raise CommandError(f"the code that runs (release {job.release}) is not here, and this checkout's is another: take the checkout "
                           "that it was started from, or upgrade -- --parallelism N", 1)  # fmt: skip
    was = (*job.options, *given)
    new = Start(checkout, (*was, f"--parallelism={options.parallelism}"), None)
    job_id = _operator(options, flink).exchange(job, new, Start(checkout, (*was, f"--parallelism={job.parallelism}"), None), options.to)
    emit(options, {"job_id": job_id, "before": job.job_id, "parallelism": options.parallelism}, [job_id])
    return 0


def _upgrade(options: argparse.Namespace) -> int:
    flink, given = _flink(options), options.job_options
    checkout = options.from_dir.resolve()
    if not (checkout / "jobs" / "main.py").is_file():
        raise CommandError(f"{checkout} is no checkout of millrace: it has no jobs/main.py")
    job = running(jobs(flink), options.job)
    name = shipping.release(checkout)
    if name == job.release and not given:
        raise CommandError(f"job {job.job_id} runs the code of {checkout} already (release {name})", 1)
    same = (*job.options, f"--parallelism={job.parallelism}")  # of this client's configuration, the default may be another
    wanted = (*same, *given)
    check_options(checkout, wanted)
    before = releases.find(job.release)
    if before is None:
        _say(f"there is no copy of the code that runs (release {job.release}) here: if the upgrade fails, there is no way back to it")
    lock = checkout / "requirements.lock"
    if lock.is_file() and lock.read_bytes() != (ROOT / "requirements.lock").read_bytes():
        _say("its requirements.lock is another: packages do not come along with a job. See docs/operations.md")
    old = Start(before, same, None) if before else None
    job_id = _operator(options, flink).exchange(job, Start(checkout, wanted, None), old, options.to)
    emit(options, {"job_id": job_id, "before": job.job_id, "release": name, "release_before": job.release}, [job_id])
    return 0


# -- what they share ---------------------------------------------------------------------------------------------------------


def _flink(options: argparse.Namespace) -> Flink:
    """The cluster that is meant."""
    local = Stack.load(WORKDIR)
    if local is not None and options.flink in (None, ",".join(local.cluster.urls)):
        return local.cluster
    urls = tuple((options.flink or "http://127.0.0.1:8081").rstrip("/").split(","))
    address = urlsplit(urls[0])
    conf = getattr(options, "flink_conf", None) or FLINK_HOME / "conf"
    folder = Path(tempfile.gettempdir())
    tls = ("-Dsecurity.ssl.rest.enabled=true",) if address.scheme == "https" else ()
    where = ("--jobmanager", f"{address.hostname}:{address.port or 8081}", *tls)
    flink = Flink(urls, environment(conf, folder / "millrace-logs"), folder / f"millrace-flink-client-{os.getpid()}.log", where)
    if not hasattr(options, "flink_conf"):
        return flink
    # How Python runs is decided where the job is submitted. It is to be as on the cluster, whatever the client's configuration says.
    entries = {each["key"]: each["value"] for each in flink.rest("/jobmanager/config")}
    python = tuple(f"-D{key}={value}" for key, value in entries.items() if key.startswith("python.") and ".client." not in key)
    return replace(flink, where=(*where, *python))


def _operator(options: argparse.Namespace, flink: Flink) -> Operator:
    return Operator(flink, options.wait, _say)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _with_bootstrap(options: argparse.Namespace, given: tuple[str, ...]) -> tuple[str, ...]:
    if option(given, "--bootstrap"):
        return given
    local = Stack.load(WORKDIR)
    if local is None or options.flink is not None:
        raise CommandError("which Kafka? Give the job's options behind `--`: -- --bootstrap HOST:PORT …")
    return (f"--bootstrap={local.bootstrap}", *given)


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
