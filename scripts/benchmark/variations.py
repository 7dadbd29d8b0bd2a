"""What has been tried to make an event cost less, each with what it changes, and what was kept. Measured by tries.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scripts.stack.flink import FIRST_COMPILER


@dataclass(frozen=True)
class Variation:
    """One change of the base: routing only (no insights), RocksDB, thread mode, parallelism 1, all else at its default.

    Attributes:
        changes: in words.
        verdict: what is kept of the two, and why.
        options: of the job.
        cluster: of its TaskManager's configuration, so that it needs one of its own.
        base: the job's options of the base too, if it is another one than the above.
    """

    changes: str
    verdict: str
    options: tuple[str, ...] = ()
    cluster: Mapping[str, str] = field(default_factory=dict)
    base: tuple[str, ...] = ()


_PROCESS: Final = ("--python-mode=process",)
_BUNDLE: Final = "--flink-property=python.fn-execution.bundle"
_CHECKPOINTS: Final = "--flink-property=execution.checkpointing"
_ROCKSDB: Final = "--flink-property=state.backend.rocksdb"
_JVM: Final = "env.java.opts.taskmanager"

VARIATIONS: Final[dict[str, Variation]] = {
    # -- what a job asks for ---------------------------------------------------------------------------------------------------
    "copies": Variation(
        "records are copied between chained operators (pipeline.object-reuse off)",
        "object reuse kept: no operator keeps or changes a record that it has passed on, so nothing needs copies",
        ("--flink-property=pipeline.object-reuse=false",),
    ),
    "no-chaining": Variation(
        "each operator is a task of its own (pipeline.operator-chaining.enabled off)",
        "chaining kept: else a thread, a queue and a serialization more between any two operators",
        ("--flink-property=pipeline.operator-chaining.enabled=false",),
    ),
    "buffer-0": Variation(
        "a network buffer goes out with each record (buffer timeout 0)", "not kept: a wake-up for each record; saves 5 ms at most",
        ("--buffer-timeout-ms=0",),
    ),
    "buffer-100": Variation(
        "network buffers wait for 100 ms (5)", "not kept: 100 ms of latency on each hop to a route", ("--buffer-timeout-ms=100",)
    ),
    "watermark-200": Variation(
        "a watermark every 200 ms (50)", "not kept: ordered routes come later by as much", ("--watermark-interval-ms=200",)
    ),
    "checkpoint-10s": Variation(
        "a checkpoint every 10 s (2 s)", "not kept: exactly-once outputs become visible at this pace", ("--checkpoint-interval-ms=10000",)
    ),
    "at-least-once": Variation(
        "no transactions in Kafka (--guarantee at-least-once)", "not kept: outputs come twice after a failure: a choice for each shop",
        ("--guarantee=at-least-once",),
    ),
    "aligned": Variation(
        "barriers never overtake data (unaligned checkpoints off)",
        "unaligned after 5 s kept: else a checkpoint of a job that can't keep up takes as long as what waits",
        (f"{_CHECKPOINTS}.unaligned.enabled=false",),
    ),
    "unaligned": Variation(
        "barriers overtake data at once (aligned-checkpoint-timeout 0 in place of 5 s)",
        "not kept: what is overtaken goes into each checkpoint", (f"{_CHECKPOINTS}.aligned-checkpoint-timeout=0s",),
    ),
    "split-methods": Variation(
        "generated classes of more than 4,000 characters are split where they have long methods, as is Flink's default (64,000)",
        "not kept: to parse them is a sixth of the planning, and what were local variables become fields",
        ("--flink-property=table.generated-code.max-length=4000",),
    ),
    "uncompressed": Variation(
        "producers don't compress (lz4)", "lz4 kept: else twice the bytes for disks and network",
        ("--kafka-property=compression.type=none",),
    ),
    "zstd": Variation(
        "producers compress with zstd (lz4)", "not kept: fewer bytes for more CPU time, which is what is short here",
        ("--kafka-property=compression.type=zstd",),
    ),
    "linger-0": Variation(
        "producers' linger.ms 0 (5)", "not kept: smaller batches, more requests", ("--kafka-property=linger.ms=0",)
    ),
    "linger-50": Variation(
        "producers' linger.ms 50 (5)", "not kept: 50 ms of latency for outputs", ("--kafka-property=linger.ms=50",)
    ),
    "hashmap": Variation(
        "state on the heap (RocksDB)",
        "not kept: the ids of an hour don't fit on a heap at the rates that this is for",
        ("--state-backend=hashmap",),
    ),
    "no-bloom-filter": Variation(
        "RocksDB without bloom filters",
        "filters kept: de-duplication asks for keys that are mostly not there",
        (f"{_ROCKSDB}.use-bloom-filter=false",)
    ),
    "write-buffer-16": Variation(
        "RocksDB's write buffers of 16 MB (64 MB)", "not kept: shorter skip lists, but flushed and compacted more often",
        (f"{_ROCKSDB}.writebuffer.size=16mb",),
    ),
    "write-buffer-256": Variation(
        "RocksDB's write buffers of 256 MB (64 MB)", "not kept: managed memory (640 MB) bounds all of them together before that",
        (f"{_ROCKSDB}.writebuffer.size=256mb",),
    ),
    "process": Variation(
        "Python in worker processes (in the TaskManager)",
        "not kept: a choice for machines of more cores: one interpreter lock for each worker", _PROCESS,
    ),
    # -- bundles, which only worker processes have -------------------------------------------------------------------------------
    "bundle-5ms": Variation(
        "process mode: bundles of 5 ms (20 ms)", "not kept: more crossings for 15 ms", (f"{_BUNDLE}.time=5",), base=_PROCESS
    ),
    "bundle-100ms": Variation(
        "process mode: bundles of 100 ms (20 ms)", "not kept: a floor under latency", (f"{_BUNDLE}.time=100",), base=_PROCESS
    ),
    "bundle-10": Variation(
        "process mode: bundles of 10 batches (10,000)", "not kept: at full speed a bundle is ended by its size, not by its time",
        (f"{_BUNDLE}.size=10",), base=_PROCESS,
    ),
    # -- the TaskManager's JVM -----------------------------------------------------------------------------------------------------
    "parallel-gc": Variation(
        "ParallelGC (G1)", "not kept: stops all threads for longer; its pauses are latency", cluster={_JVM: "-XX:+UseParallelGC"}
    ),
    "zgc": Variation(
        "ZGC (G1)", "not kept: no pauses, for barriers on each read and more threads", cluster={_JVM: "-XX:+UseZGC"}
    ),
    "short-pauses": Variation(
        "G1 aims at pauses of 20 ms (200 ms)", "not kept: four times the time in pauses, for a lower p99 at low load only",
        cluster={_JVM: "-XX:MaxGCPauseMillis=20"},
    ),
    "c1-only": Variation(
        "the first compiler only (-XX:TieredStopAtLevel=1)",
        "not kept: right for the client and the JobManager, which live shortly or idle",
        cluster={_JVM: FIRST_COMPILER},
    ),
    "c2-only": Variation(
        "the second compiler only (-XX:-TieredCompilation)", "not kept: interpreted for longer after each start",
        cluster={_JVM: "-XX:-TieredCompilation"},
    ),
    "large-pages": Variation(
        "transparent huge pages for the heap (-XX:+UseTransparentHugePages)", "not kept: depends on the host's kernel settings",
        cluster={_JVM: "-XX:+UseTransparentHugePages"},
    ),
}  # fmt: skip
"""How the command line names it -> what it is. What was tried by changing code is told in docs/performance.md alone."""
