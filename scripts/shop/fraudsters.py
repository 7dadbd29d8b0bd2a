"""Attackers among the visitors, each a short script; and labels that say which events were theirs.

The patterns are those that shops report: card testing, account takeover, a burst of orders, one huge order, many accounts on one
device, and orders by a program that looks at nothing. Each script varies in length, pace and disguise, so that no one limit finds all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from shop.v1.events_pb2 import CheckoutStarted, Event, Money, OrderPlaced, PaymentFailed, PaymentProcessed, UserSignedIn

from scripts.shop.catalogue import CURRENCIES, Catalogue, line_item
from scripts.shop.population import FAR, HOMES, Customer, Population, source
from scripts.shop.sessions import Kind

PATTERNS = ("card-testing", "account-takeover", "order-burst", "huge-order", "many-accounts", "direct-order")
_HISTORY = 5
"""Orders that a customer must have had for a huge one to be out of the usual."""
_LOOKED_AT = 200
"""So many customers are looked at to find one who fits."""


class Identity:
    """Who acts: the parts of an event that do not change within a session, as scripts.shop.sessions.Session has them."""

    __slots__ = ("key", "prefix", "session_id", "source", "user_id")

    def __init__(self, session_id: str, origin: bytes, user_id: str = "") -> None:
        self.session_id, self.source = session_id, origin
        self.key = session_id.encode()
        self.sign_in(user_id)

    def sign_in(self, user_id: str) -> None:
        self.user_id = user_id
        self.prefix = Event(session_id=self.session_id, user_id=user_id).SerializeToString()


class Label(NamedTuple):
    """An event that was fraud. `attack` numbers the attacks of a run."""

    event_id: str
    session_id: str
    user_id: str
    order_id: str
    time_ms: int
    kind: str
    pattern: str
    attack: int


class Act(NamedTuple):
    """One event of an attack."""

    who: Identity
    kind: int
    payload: bytes
    order_id: str
    pattern: str
    attack: int

    def label(self, event_id: str, time_ms: int) -> Label:
        who, kind = self.who, Kind(self.kind).name.lower()
        return Label(event_id, who.session_id, who.user_id, self.order_id, time_ms, kind, self.pattern, self.attack)


class _Step(NamedTuple):
    """What comes next, and how long after the step before."""

    after_ms: float
    who: Identity
    kind: int
    payload: bytes
    order_id: str = ""


_Script = Iterator[_Step]


class Fraudsters:
    """`attack` begins one; from `next_ms` on, `act` gives the next event of those under way."""

    def __init__(self, rng: random.Random, catalogue: Catalogue, population: Population) -> None:
        self.next_ms: float = math.inf
        self._rng, self._catalogue, self._population = rng, catalogue, population
        self._due: list[tuple[float, int, _Step, _Script, str]] = []
        self._attacks = 0
        self._session_id: Callable[[], str] = str
        self._scripts: dict[str, Callable[[int], _Script]] = {
            "card-testing": self._card_testing, "account-takeover": self._takeover, "order-burst": self._burst,
            "huge-order": self._huge_order, "many-accounts": self._many_accounts, "direct-order": self._direct_order,
        }  # fmt: skip

    def attack(self, now_ms: int, session_id: Callable[[], str]) -> None:
        """Begins an attack of some pattern; nothing happens if nobody is there to be attacked."""
        self._session_id = session_id
        pattern = PATTERNS[int(self._rng.random() * len(PATTERNS))]
        script = self._scripts[pattern](now_ms)
        self._go_on(now_ms, self._attacks, script, pattern)
        self._attacks += 1

    def act(self, now_ms: int) -> Act:
        """The event that is due."""
        _, attack, step, script, pattern = heappop(self._due)
        self._go_on(now_ms, attack, script, pattern)
        return Act(step.who, step.kind, step.payload, step.order_id, pattern, attack)

    def _go_on(self, now_ms: int, attack: int, script: _Script, pattern: str) -> None:
        step = next(script, None)
        if step is not None:
            heappush(self._due, (now_ms + step.after_ms, attack, step, script, pattern))
        self.next_ms = self._due[0][0] if self._due else math.inf

    # -- scripts -----------------------------------------------------------------------------------------------------------------

    def _card_testing(self, _now_ms: int) -> _Script:
        """Stolen card numbers are tried on a small order until some work. From one address; a careful one takes a new one each time."""
        rng = self._rng
        cards = [f"card-{rng.getrandbits(32):08x}" for _ in range(rng.randint(2, 6))]
        hides = rng.random() < 0.25
        who = self._stranger(rng.choice((*HOMES, *FAR)))
        pace_ms = rng.choice((2_000, 6_000, 20_000))
        total = Money(amount_minor=rng.randint(99, 1_999), currency="USD")
        yield self._view(self._pause(2_000), who)
        order, payload = self._order(total)
        yield _Step(self._pause(4_000), who, Kind.ORDER_PLACED, payload, order)
        for _ in range(rng.randint(10, 30)):
            if hides:
                who = self._stranger(rng.choice(FAR))
            yield self._failed(self._pause(pace_ms), who, order, total, rng.choice(cards))
        if rng.random() < 0.5:
            yield self._paid(self._pause(pace_ms), who, order, total, rng.choice(cards))

    def _takeover(self, now_ms: int) -> _Script:
        """Somebody far away signs in to an account whose owner was here a moment ago, and orders with the card on file."""
        rng = self._rng
        victim = self._find(lambda each: each.signs_in and not each.away and 0 < now_ms - each.seen_ms < 1_800_000)
        if victim is None:
            return
        who = self._stranger(rng.choice(FAR))
        who.sign_in(victim.user_id)
        yield _Step(self._pause(5_000), who, Kind.USER_SIGNED_IN, _SIGNED_IN)
        for _ in range(rng.randint(1, 3)):
            yield self._view(self._pause(3_000), who)
        for _ in range(rng.choice((1, 1, 2))):
            yield from self._buy(who, self._total(victim.currency, rng.randint(20_000, 150_000)), victim.card, victim)

    def _burst(self, now_ms: int) -> _Script:
        """Order after order by one user, before anybody notices that they are not paid, or that a voucher works again and again."""
        rng = self._rng
        customer = self._find(lambda each: not each.away)
        if customer is None:
            return
        who = Identity(self._session_id(), customer.sources[0], customer.user_id)
        pace_ms = rng.choice((3_000, 15_000, 40_000))
        for _ in range(rng.randint(6, 12)):
            yield self._view(self._pause(pace_ms / 3), who)
            order, payload = self._order(self._total(customer.currency, rng.randint(500, 8_000)), customer)
            yield _Step(self._pause(pace_ms), who, Kind.ORDER_PLACED, payload, order)
            if rng.random() < 0.2:
                who = Identity(self._session_id(), customer.sources[0], customer.user_id)

    def _huge_order(self, _now_ms: int) -> _Script:
        """From the owner's own country, on a device like theirs: only the amount is out of the usual."""
        rng = self._rng
        customer = self._find(lambda each: each.orders >= _HISTORY and not each.away)
        if customer is None:
            return
        who = Identity(self._session_id(), source(1, f"d-{rng.getrandbits(32):08x}", self._address(), customer.country), customer.user_id)
        for _ in range(rng.randint(1, 4)):
            yield self._view(self._pause(2_500), who)
        usual = customer.spent_minor / customer.orders
        yield from self._buy(who, self._total(customer.currency, round(usual * rng.uniform(8, 30))), customer.card, customer)

    def _many_accounts(self, _now_ms: int) -> _Script:
        """A farm: one device, a new account for each order, for the sake of the newcomers' discount."""
        rng = self._rng
        device, address, country = f"d-{rng.getrandbits(32):08x}", self._address(), rng.choice(HOMES)
        pace_ms = rng.choice((5_000, 30_000, 90_000))
        for _ in range(rng.randint(5, 14)):
            if rng.random() < 0.3:  # a mobile network gives another address
                address = self._address()
            who = Identity(self._session_id(), source(2, device, address, country), f"user-{rng.getrandbits(32):08x}")
            yield _Step(self._pause(pace_ms), who, Kind.USER_SIGNED_IN, _SIGNED_IN)
            yield self._view(self._pause(2_000), who)
            yield from self._buy(who, self._total(1, rng.randint(1_000, 6_000)), f"card-{rng.getrandbits(32):08x}")

    def _direct_order(self, _now_ms: int) -> _Script:
        """A program that knows what it wants: cart, checkout, order."""
        rng = self._rng
        who = self._stranger(rng.choice(HOMES))
        if rng.random() < 0.3:
            who.sign_in(f"user-{rng.getrandbits(32):08x}")
        total = self._total(rng.randrange(3), rng.randint(3_000, 60_000))
        if rng.random() < 0.7:
            product = int(rng.random() * len(self._catalogue.products))
            added = self._catalogue.added[CURRENCIES.index(total.currency)][product][0]
            yield _Step(self._pause(400), who, Kind.PRODUCT_ADDED_TO_CART, added)
        checkout = Event(checkout_started=CheckoutStarted(cart_value=total, items=1)).SerializeToString()
        yield _Step(self._pause(400), who, Kind.CHECKOUT_STARTED, checkout)
        order, payload = self._order(total)
        yield _Step(self._pause(400), who, Kind.ORDER_PLACED, payload, order)
        yield self._paid(self._pause(800), who, order, total, f"card-{rng.getrandbits(32):08x}")

    # -- their parts ---------------------------------------------------------------------------------------------------------------

    def _pause(self, mean_ms: float) -> float:
        return self._rng.uniform(0.4, 1.6) * mean_ms

    def _address(self) -> str:
        rng = self._rng
        return f"203.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"

    def _stranger(self, country: str) -> Identity:
        rng = self._rng
        return Identity(self._session_id(), source(rng.randrange(3), f"d-{rng.getrandbits(32):08x}", self._address(), country))

    def _find(self, fits: Callable[[Customer], bool]) -> Customer | None:
        known = self._population.known
        for _ in range(_LOOKED_AT if known else 0):
            customer = known[int(self._rng.random() * len(known))]
            if fits(customer):
                return customer
        return None

    def _total(self, currency: int, amount_minor: int) -> Money:
        return Money(amount_minor=amount_minor, currency=CURRENCIES[currency])

    def _view(self, after_ms: float, who: Identity) -> _Step:
        product = self._catalogue.picks[int(self._rng.random() * len(self._catalogue.picks))]
        return _Step(after_ms, who, Kind.PRODUCT_VIEWED, self._catalogue.viewed[0][product])

    def _order(self, total: Money, customer: Customer | None = None) -> tuple[str, bytes]:
        """An order of one line, whose price is the total; from now on it is part of the customer's history."""
        if customer is not None:
            customer.ordered(total.amount_minor)
        order_id = f"o-{self._rng.getrandbits(48):012x}"
        product = self._catalogue.products[int(self._rng.random() * len(self._catalogue.products))]
        line = line_item(product, 1, total.currency)
        line.unit_price.amount_minor = total.amount_minor
        return order_id, _event(order_placed=OrderPlaced(order_id=order_id, lines=[line], total=total))

    def _buy(self, who: Identity, total: Money, card: str, customer: Customer | None = None) -> _Script:
        checkout = CheckoutStarted(cart_value=total, items=1)
        yield _Step(self._pause(2_000), who, Kind.CHECKOUT_STARTED, _event(checkout_started=checkout))
        order, payload = self._order(total, customer)
        yield _Step(self._pause(2_000), who, Kind.ORDER_PLACED, payload, order)
        yield self._paid(self._pause(2_000), who, order, total, card)

    def _failed(self, after_ms: float, who: Identity, order: str, amount: Money, card: str) -> _Step:
        failed = PaymentFailed(order_id=order, amount=amount, reason="declined", card_fingerprint=card)
        return _Step(after_ms, who, Kind.PAYMENT_FAILED, _event(payment_failed=failed), order)

    def _paid(self, after_ms: float, who: Identity, order: str, amount: Money, card: str) -> _Step:
        payment_id = f"pay-{self._rng.getrandbits(40):010x}"
        paid = PaymentProcessed(order_id=order, payment_id=payment_id, amount=amount, method="card", card_fingerprint=card)
        return _Step(after_ms, who, Kind.PAYMENT_PROCESSED, _event(payment_processed=paid), order)


def _event(**payload: Any) -> bytes:
    return Event(**payload).SerializeToString()


_SIGNED_IN = _event(user_signed_in=UserSignedIn(method="password"))
