"""The shop's customers: people who come back, each with a home, devices, a card and what they are used to spend.

Fraud detection is only worth something against what honest people do. So there are families at one address and on one tablet, offices
and a shop's own terminals behind one address or device, people who live on a border, who travel (and are silent while they fly), who
hide behind a VPN, whose card is declined more often, and now and then somebody buys what they never would.
"""

from __future__ import annotations

import random

from shop.v1.events_pb2 import Event, Source

APPS = (("web", "2026.11.3"), ("ios", "8.14.0"), ("android", "8.13.2"))
HOMES = ("US", "US", "US", "DE", "FR", "GB", "GB", "NL", "PL", "SE")
FAR = ("BR", "IN", "AU", "ZA", "JP", "AR", "TH", "CL", "ID", "KE")
"""Where people fly to, and where attackers sit; thousands of kilometres from all homes."""
_NEIGHBOURS = {"DE": "NL", "NL": "DE", "FR": "DE", "PL": "DE", "SE": "DK", "GB": "IE", "US": "CA"}
_CURRENCY_OF = {"US": 0, "GB": 2}  # index into CURRENCIES; the euro otherwise
VISITORS_PER_SESSION = 30
"""People for each visitor who is in the shop at a time: each comes back after some minutes, as time goes in this shop."""
_REST_MS = 120_000
"""Nobody comes back earlier."""
_FLIGHT_MS = (8 * 3_600_000, 20 * 3_600_000)
_HOUSEHOLD, _OFFICE, _TERMINAL = 4, 600, 80
"""Of so many customers with numbers that follow each other: one household, one office, one terminal in a shop."""
_NO_LIMIT = 1 << 40


class Customer:
    """One person with an account. `sources`: where they come from, serialised once; `limit_minor`: the price that they don't go over."""

    __slots__ = (
        "away", "busy", "card", "country", "currency", "declines", "device_id", "home", "limit_minor", "number", "orders", "ready_ms",
        "seen_ms", "signs_in", "sources", "spent_minor", "user_id",
    )  # fmt: skip

    def __init__(self, number: int, salt: int, rng: random.Random) -> None:
        bits = rng.getrandbits(64)
        self.number, self.user_id = number, f"user-{salt:04x}{number:05x}"
        self.card = f"card-{bits & 0xFFFFFFFF:08x}"
        household = random.Random(salt << 32 | number // _HOUSEHOLD)
        self.country = household.choice(HOMES)
        self.currency = _CURRENCY_OF.get(self.country, 1)
        self.limit_minor = round(30_000 * rng.lognormvariate(0, 0.9))
        self.declines = 0.45 if bits >> 32 & 63 == 0 else 0.12
        self.signs_in = bits >> 38 & 3 != 0
        self.device_id = f"d-{bits >> 12 & 0xFFFFFFFF:08x}"
        address = f"10.{household.randrange(256)}.{household.randrange(256)}.{household.randrange(256)}"
        app = bits >> 40 & 3
        own = source(app, self.device_id, address, self.country)
        sources = [own] * 3
        if household.random() < 0.3:  # the family's tablet
            sources[2] = source(1, f"d-{household.getrandbits(32):08x}", address, self.country)
        if bits >> 42 & 15 == 0:  # at work: one address for all of them, in one country
            office = number // _OFFICE
            sources.append(source(app, self.device_id, f"172.16.{office >> 8 & 255}.{office & 255}", self.country))
        if bits >> 46 & 31 == 0:  # lives on this side of a border, works on the other
            sources.append(source(app, self.device_id, f"10.{bits >> 24 & 255}.0.9", _NEIGHBOURS[self.country]))
        if bits >> 51 & 511 == 0:  # a VPN, which says that they are far away
            sources.append(source(app, self.device_id, f"192.0.2.{bits >> 24 & 255}", FAR[bits >> 20 & 7]))
        if bits >> 60 == 0:  # likes the terminal in the shop
            sources.append(source(0, f"d-terminal-{number // _TERMINAL}", f"172.17.{number // _TERMINAL & 255}.1", self.country))
        self.home = self.sources = tuple(sources)
        self.away = False
        self.busy = False
        self.ready_ms = self.seen_ms = 0
        self.orders = self.spent_minor = 0

    def ordered(self, amount_minor: int) -> None:
        """Remembers an order: attackers look for customers with a history."""
        self.orders += 1
        self.spent_minor += amount_minor

    def leave(self, now_ms: int, rng: random.Random) -> None:
        """The session ends. Some go on a journey, or home from one, and are not seen before they have arrived; some buy a new device."""
        self.busy, self.seen_ms, self.ready_ms = False, now_ms, now_ms + _REST_MS
        if rng.random() < 0.01:
            number = rng.getrandbits(32)
            self.home = tuple(each.replace(self.device_id.encode(), b"d-%08x" % number) for each in self.home)
            self.sources = tuple(each.replace(self.device_id.encode(), b"d-%08x" % number) for each in self.sources)
            self.device_id = f"d-{number:08x}"
        if rng.random() < (0.3 if self.away else 0.01):
            self.away = not self.away
            self.ready_ms = now_ms + int(rng.uniform(*_FLIGHT_MS))
            hotel = f"198.51.{rng.randrange(256)}.{rng.randrange(256)}"
            self.sources = (source(1, self.device_id, hotel, FAR[int(rng.random() * len(FAR))]),) if self.away else self.home


def source(app: int, device_id: str, address: str, country: str) -> bytes:
    """The part of an event that says where it comes from."""
    name, version = APPS[app % len(APPS)]
    return Event(source=Source(app=name, app_version=version, device_id=device_id, ip=address, country=country)).SerializeToString()


class Population:
    """All customers; each is made when they first come."""

    def __init__(self, seed: int, sessions: int) -> None:
        self._rng = random.Random(f"{seed}/population")
        self._salt = self._rng.getrandbits(16)
        self._customers: list[Customer | None] = [None] * (sessions * VISITORS_PER_SESSION)
        self.known: list[Customer] = []

    def visit(self, now_ms: int, rng: random.Random) -> Customer | None:
        """Somebody who comes into the shop; None: a stranger, or one who has only just been here."""
        number = int(rng.random() * len(self._customers))
        customer = self._customers[number]
        if customer is None:
            customer = Customer(number, self._salt, self._rng)
            self._customers[number] = customer
            self.known.append(customer)
        elif customer.busy or customer.ready_ms > now_ms:
            return None
        customer.busy = True
        return customer


def limit_of(customer: Customer | None, rng: random.Random) -> int:
    """The highest price for this session: now and then somebody treats themselves."""
    return _NO_LIMIT if customer is None or rng.random() < 0.01 else customer.limit_minor
