"""The shop as a stream of Kafka records: who does what and when, and in which order it reaches the log.

Pure and seeded: the same settings, start and event times give the same bytes in the same order, however the times are cut
into calls. Event times come from the caller, so a live clock and a simulated one are the same code.

    event time   1   2   3   4   5   6
    in the log   1   3   4   2   4'  6  ...  5        2 is out of order, 4' is a copy of 4, 5 is late
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from shop.v1.events_pb2 import Event

from scripts.shop.catalogue import catalogue_of
from scripts.shop.faults import FAULTS, Fault, broken_value
from scripts.shop.fraudsters import Fraudsters, Identity, Label
from scripts.shop.population import Population
from scripts.shop.sessions import UNKNOWN_PAYLOAD, Kind, Session, Stage

_WARM_UP_STEPS = 16
_STRANGERS = 0.4  # share of the visitors without an account
_OVER = int(Stage.OVER)


class Record(NamedTuple):
    """One Kafka record to be sent. `copy` marks a duplicate, `fault` how the value was broken."""

    timestamp_ms: int
    key: bytes
    value: bytes | None
    fault: Fault = Fault.NONE
    copy: bool = False


@dataclass(frozen=True, slots=True)
class Disturbances:
    """How far the log is from the ideal; every share is a probability per event and at most one strikes an event.

    `disorder_max_ms` stays under the job's default lateness bound (2 s): such events are late for nobody. Events held back as
    `late` may be late, if the watermark has passed them when they come: that is for the job to say.
    """

    disorder: float = 0.20
    disorder_max_ms: int = 1_500
    late: float = 0.002
    late_min_ms: int = 5_000
    late_max_ms: int = 20_000
    duplicates: float = 0.005
    duplicate_max_ms: int = 5_000
    malformed: float = 0.001
    unknown: float = 0.001
    too_large: float = 0

    def __post_init__(self) -> None:
        if min(self.shares) < 0 or sum(self.shares) > 1:
            raise ValueError(f"the shares of disturbed events must not be negative nor be over 1 together, got {self.shares}")
        if not 0 <= self.late_min_ms <= self.late_max_ms:
            raise ValueError(f"late_min_ms {self.late_min_ms} and late_max_ms {self.late_max_ms} must be a range")

    @property
    def shares(self) -> tuple[float, ...]:
        return self.disorder, self.late, self.duplicates, self.malformed, self.unknown, self.too_large


UNDISTURBED = Disturbances(disorder=0, late=0, duplicates=0, malformed=0, unknown=0)


@dataclass(frozen=True, slots=True)
class Settings:
    """`sessions` visitors are in the shop at any time, so a visitor acts every sessions / rate seconds on average.

    `compact` makes events of about 64 bytes, without user and source, for comparison with other projects' benchmarks.
    `fraud` is the share of the visitors who are attackers; with it, nobody is in the shop already at the start: an order whose views
    were before the first event would look like one of theirs.
    `hot_session` is the share of the events that come from one session, which never ends; `hot_category` the share of what is looked at,
    and so about that of what is sold, that is of one category.
    """

    seed: int = 1
    start_ms: int = 0
    sessions: int = 3_000
    compact: bool = False
    fraud: float = 0
    hot_session: float = 0
    hot_category: float = 0
    disturbances: Disturbances = field(default_factory=Disturbances)

    def __post_init__(self) -> None:
        if not 0 <= self.fraud <= 1 or (self.fraud and self.compact):
            raise ValueError(f"fraud must be a share from 0 to 1, and 0 with compact events, got {self.fraud}")
        if not (0 <= self.hot_session < 1 and 0 <= self.hot_category <= 1):
            raise ValueError(f"hot_session and hot_category must be shares, got {self.hot_session} and {self.hot_category}")


@dataclass(slots=True)
class Counts:
    """What was made so far, in records."""

    kinds: list[int] = field(default_factory=lambda: [0] * len(Kind))
    faults: dict[Fault, int] = field(default_factory=dict)
    copies: int = 0
    disordered: int = 0
    held_back: int = 0

    @property
    def records(self) -> int:
        return sum(self.kinds) + sum(self.faults.values()) + self.copies

    def by_kind(self) -> dict[str, int]:
        return {kind.name.lower(): self.kinds[kind] for kind in Kind}


class Shop:
    """Call `records` with rising event times, `due` as time passes without events, `drain` at the end.

    `labels` has what was fraud, in the order of the events; a caller may take it away.
    """

    def __init__(self, settings: Settings) -> None:
        self.counts = Counts()
        self._settings = settings
        self._rng = rng = random.Random(f"{settings.seed}/{settings.start_ms}")
        self._catalogue = catalogue_of(settings.seed, settings.compact, settings.hot_category)
        # Both make ids unique between runs: two generators, or one started twice, must never invent the same event.
        salt = rng.getrandbits(26)
        self._salt = f"7{salt >> 14:03x}-{0x8000 | salt & 0x3FFF:04x}".encode()
        self._session_salt = rng.getrandbits(32)
        self._sessions_made = 0
        self._events_made = 0
        self.labels: list[Label] = []
        self._population = Population(settings.seed, settings.sessions)
        self._fraudsters = Fraudsters(random.Random(f"{settings.seed}/{settings.start_ms}/fraud"), self._catalogue, self._population)
        make = self._new_session if settings.fraud else self._warm_session
        self._sessions = [make(settings.start_ms) for _ in range(settings.sessions)]
        self._held: list[tuple[int, int, Record]] = []  # due_ms, number (keeps ties stable), record

    def _session_id(self) -> str:
        number = self._sessions_made
        self._sessions_made += 1
        if self._settings.compact:
            return f"{self._session_salt & 0xFFFF:04x}{number:x}"
        return f"s-{self._session_salt:08x}{number:08x}"

    def _new_session(self, now_ms: int, session_id: str = "") -> Session:
        rng, settings = self._rng, self._settings
        customer = None if settings.compact or rng.random() < _STRANGERS else self._population.visit(now_ms, rng)
        if settings.fraud and rng.random() < settings.fraud:
            self._fraudsters.attack(now_ms, self._session_id)
        return Session(session_id or self._session_id(), rng, settings.compact, customer)

    def _warm_session(self, now_ms: int) -> Session:
        """A visitor who is already somewhere on the way, so that orders come from the first second on; but with nothing to pay yet."""
        session = self._new_session(now_ms)
        for _ in range(self._rng.randrange(_WARM_UP_STEPS)):
            session.step(self._rng, self._catalogue)
            if session.stage != Stage.BROWSING:
                self._over(session, now_ms)
                return self._new_session(now_ms)
        return session

    def _over(self, session: Session, now_ms: int) -> None:
        if session.customer is not None:
            session.customer.leave(now_ms, self._rng)

    def _event_id(self, time_ms: int) -> bytes:
        """A UUIDv7 (time first, then salt and a counter); compact: 12 characters."""
        self._events_made = number = self._events_made + 1
        if self._settings.compact:
            return b"%04x%08x" % (self._session_salt >> 16, number)
        return b"%08x-%04x-%b-%012x" % (time_ms >> 16, time_ms & 0xFFFF, self._salt, number)

    def records(self, times_ms: Iterable[int]) -> list[Record]:
        """One event for each time, and what was held back and is due by then, in the order in which to send it."""
        out: list[Record] = []
        append, held, sessions, rng = out.append, self._held, self._sessions, self._rng
        draw, catalogue, kinds, event_id = rng.random, self._catalogue, self.counts.kinds, self._event_id
        disturbances = self._settings.disturbances
        disturbed = sum(disturbances.shares)
        unbroken = sum(disturbances.shares[:3])  # what is only late, out of order or doubled
        id_head = b"\n\x0c" if self._settings.compact else b"\n$"  # field 1 and its length
        time_was, time_field = -1, b""
        fraudsters, act = self._fraudsters, None
        session: Session | Identity
        hot = self._settings.hot_session
        for time_ms in times_ms:
            if held and held[0][0] <= time_ms:
                out.extend(self.due(time_ms))
            if time_ms >= fraudsters.next_ms:
                act = fraudsters.act(time_ms)
                session, kind, payload = act.who, act.kind, act.payload
            else:
                index = 0 if hot and draw() < hot else int(draw() * len(sessions))
                session = visitor = sessions[index]
                kind, payload = visitor.step(rng, catalogue)
                if visitor.stage == _OVER:
                    self._over(visitor, time_ms)
                    sessions[index] = self._new_session(time_ms, visitor.key.decode() if hot and index == 0 else "")
            if time_ms != time_was:
                time_was, time_field = time_ms, Event(event_time_ms=time_ms).SerializeToString()
            head = id_head + event_id(time_ms) + session.prefix + time_field + session.source
            strike = draw()
            if act is not None:
                if strike >= disturbed or strike < unbroken:
                    self.labels.append(act.label(head[2:38].decode(), time_ms))
                act = None
            if strike >= disturbed:
                kinds[kind] += 1
                append(Record(time_ms, session.key, head + payload))
            else:
                self._disturb(out, strike, kind, Record(time_ms, session.key, head + payload), head)
        return out

    def due(self, now_ms: int) -> list[Record]:
        """The records held back until `now_ms` or earlier."""
        out: list[Record] = []
        while self._held and self._held[0][0] <= now_ms:
            out.append(heappop(self._held)[2])
        return out

    def drain(self) -> list[Record]:
        """Everything still held back, in order."""
        return self.due(1 << 62)

    def _hold(self, record: Record, delay_ms: float) -> None:
        heappush(self._held, (record.timestamp_ms + int(delay_ms), self._events_made, record))

    def _disturb(self, out: list[Record], strike: float, kind: int, record: Record, head: bytes) -> None:
        rates, rng, counts = self._settings.disturbances, self._rng, self.counts
        if strike < rates.disorder:
            counts.kinds[kind] += 1
            counts.disordered += 1
            self._hold(record, 1 + rng.random() * max(0, rates.disorder_max_ms - 1))
        elif strike < (edge := rates.disorder + rates.late):
            counts.kinds[kind] += 1
            counts.held_back += 1
            delay_ms = rng.uniform(rates.late_min_ms, rates.late_max_ms)
            self._hold(record, delay_ms)
            if rng.random() < 0.2 and rates.duplicates:  # a late event may come twice as well
                counts.copies += 1
                self._hold(record._replace(copy=True), delay_ms + rng.random() * rates.duplicate_max_ms)
        elif strike < (edge := edge + rates.duplicates):
            counts.kinds[kind] += 1
            counts.copies += 1
            out.append(record)
            if rng.random() < 0.5:
                out.append(record._replace(copy=True))
            else:
                self._hold(record._replace(copy=True), rng.random() * rates.duplicate_max_ms)
        elif strike < (edge := edge + rates.malformed):
            out.append(self._broken(record, FAULTS[int(rng.random() * len(FAULTS))]))
        elif strike < edge + rates.unknown:
            counts.kinds[Kind.UNKNOWN] += 1
            out.append(record._replace(value=head + UNKNOWN_PAYLOAD))
        else:
            out.append(self._broken(record, Fault.TOO_LARGE))

    def _broken(self, record: Record, fault: Fault) -> Record:
        faults = self.counts.faults
        faults[fault] = faults.get(fault, 0) + 1
        assert record.value is not None
        return record._replace(value=broken_value(fault, record.value, self._rng), fault=fault)
