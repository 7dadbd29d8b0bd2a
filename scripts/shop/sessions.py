"""One visitor's way through the shop: which event comes next, given what the session did so far."""

from __future__ import annotations

import random
from enum import IntEnum

from shop.v1.events_pb2 import (
    CheckoutStarted,
    Event,
    Money,
    OrderCancelled,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    UserSignedIn,
)

from scripts.shop.catalogue import CURRENCIES, NEAR_SLOTS, Catalogue, line_item
from scripts.shop.population import HOMES, Customer, limit_of, source


class Kind(IntEnum):
    """What happened; the names are the payload names of the proto, UNKNOWN is a payload of a newer proto."""

    PRODUCT_VIEWED = 0
    PRODUCT_SEARCHED = 1
    PRODUCT_ADDED_TO_CART = 2
    PRODUCT_REMOVED_FROM_CART = 3
    CHECKOUT_STARTED = 4
    ORDER_PLACED = 5
    PAYMENT_PROCESSED = 6
    PAYMENT_FAILED = 7
    ORDER_CANCELLED = 8
    USER_SIGNED_IN = 9
    UNKNOWN = 10


class Stage(IntEnum):
    BROWSING = 0
    ORDERING = 1
    PAYING = 2
    PAID = 3
    OVER = 4


# IntEnum members cost a lookup each; the hot loop below uses plain ints.
_VIEWED, _SEARCHED, _ADDED, _REMOVED = (int(kind) for kind in list(Kind)[:4])
_BROWSING, _ORDERING, _PAYING, _PAID, _OVER = (int(stage) for stage in Stage)

# Field 40 of Event, length-delimited: a payload that today's proto does not know (see the proto's word on evolution).
UNKNOWN_PAYLOAD = b"\xc2\x02" + b"\x10" + b"\n\x0ewishlist:added"

_SIGN_INS = tuple(Event(user_signed_in=UserSignedIn(method=m)).SerializeToString() for m in ("password", "passkey", "google"))
_SHIPPING_MINOR = 499
_FREE_SHIPPING_FROM_MINOR = 5_000
_MAX_PAYMENT_TRIES = 3
_DECLINES = 0.12
_LOOKS_FOR_CHEAPER = 3
_STAYS_NEAR = 0.65
"""Share of the looks that go to a product near the last one; the others go anywhere, by popularity."""
_NEAR_SCALE = NEAR_SLOTS / _STAYS_NEAR


class Session:
    """A visitor. `prefix` and `source` are the session's parts of an event, serialised once.

    `step` returns the kind and the payload bytes of what happens next; at `stage` OVER the visitor has left.
    """

    __slots__ = (
        "amount_minor", "card", "cart", "currency", "customer", "declines", "key", "limit_minor", "order_id", "prefix", "product", "source",
        "stage", "tries", "user_id",
    )  # fmt: skip

    def __init__(self, session_id: str, rng: random.Random, compact: bool, customer: Customer | None = None) -> None:
        """`customer`: who it is, signed in or not; None: a stranger."""
        bits = rng.getrandbits(62)
        self.key = session_id.encode()
        self.currency = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2)[bits % 10]
        self.product = -1
        self.cart: list[tuple[int, int]] = []  # product index, quantity
        self.stage = _BROWSING
        self.tries = 0
        self.order_id = ""
        self.amount_minor = 0
        self.customer = customer
        self.limit_minor = limit_of(customer, rng)
        self.declines = _DECLINES
        self.source = b""
        self.user_id = ""
        if customer is not None:
            self.currency, self.card, self.declines = customer.currency, customer.card, customer.declines
            self.source = customer.sources[bits % len(customer.sources)]
            self.user_id = customer.user_id if customer.signs_in else ""
        elif not compact:
            self.card = f"card-{bits >> 6 & 0xFFFFFFFF:08x}"
            address = f"10.{bits >> 44 & 255}.{bits >> 36 & 255}.{bits >> 28 & 255}"
            self.source = source((bits >> 42) % 3, f"d-{bits & 0xFFFFFFFF:08x}", address, HOMES[(bits >> 52) % 10])
        else:
            self.card = f"card-{bits >> 6 & 0xFFFF:04x}"
        self._set_prefix()

    def _set_prefix(self) -> None:
        self.prefix = Event(session_id=self.key.decode(), user_id=self.user_id).SerializeToString()

    def step(self, rng: random.Random, catalogue: Catalogue) -> tuple[int, bytes]:
        if self.stage == _BROWSING:
            return self._browse(rng, catalogue)
        if self.stage == _ORDERING:
            return self._order(rng, catalogue)
        return self._pay(rng)

    def _browse(self, rng: random.Random, catalogue: Catalogue) -> tuple[int, bytes]:
        draw = rng.random()
        if draw < 0.60:
            pick = rng.random()
            if self.product < 0:
                product = catalogue.picks[int(pick * len(catalogue.picks))]
            elif pick < _STAYS_NEAR:
                product = catalogue.near[self.product][int(pick * _NEAR_SCALE)]
            else:
                product = catalogue.picks[int((pick - _STAYS_NEAR) / (1 - _STAYS_NEAR) * len(catalogue.picks))]
            self.product = product
            if draw < 0.03:  # leaves after a last look
                self.stage = _OVER
            return _VIEWED, catalogue.viewed[self.currency][product]
        if draw < 0.73:
            return _SEARCHED, catalogue.searched[int(draw * 1e6) % len(catalogue.searched)]
        if draw < 0.88 or not self.cart:
            if self.product < 0 and not self.user_id and draw < 0.995:  # only who orders again need not look, and some with a link
                self.product = product = catalogue.picks[int(rng.random() * len(catalogue.picks))]
                return _VIEWED, catalogue.viewed[self.currency][product]
            if self.product < 0:
                self.product = catalogue.picks[int(rng.random() * len(catalogue.picks))]
            spread = int(draw * 1e6) % 10
            quantity = 0 if spread < 8 else spread - 7  # index into QUANTITIES: mostly one piece
            for _ in range(_LOOKS_FOR_CHEAPER):
                if catalogue.products[self.product].price_minor <= self.limit_minor:
                    break
                self.product = catalogue.picks[int(rng.random() * len(catalogue.picks))]
            self.cart.append((self.product, quantity))
            return _ADDED, catalogue.added[self.currency][self.product][quantity]
        if draw < 0.905:
            product, quantity = self.cart.pop()
            return _REMOVED, catalogue.removed[product][quantity]
        if draw < 0.94 and not self.user_id:
            self.user_id = self.customer.user_id if self.customer else f"user-{rng.getrandbits(32):08x}"
            self._set_prefix()
            return Kind.USER_SIGNED_IN, _SIGN_INS[int(draw * 1e6) % len(_SIGN_INS)]
        return self._check_out(catalogue)

    def _check_out(self, catalogue: Catalogue) -> tuple[int, bytes]:
        self.stage = _ORDERING
        goods_minor = sum(catalogue.products[product].price_minor * (quantity + 1) for product, quantity in self.cart)
        self.amount_minor = goods_minor + (_SHIPPING_MINOR if goods_minor < _FREE_SHIPPING_FROM_MINOR else 0)
        payload = CheckoutStarted(cart_value=self._money(goods_minor), items=sum(quantity + 1 for _, quantity in self.cart))
        return Kind.CHECKOUT_STARTED, Event(checkout_started=payload).SerializeToString()

    def _order(self, rng: random.Random, catalogue: Catalogue) -> tuple[int, bytes]:
        if rng.random() < 0.15:  # has second thoughts
            self.stage = _BROWSING
            return _VIEWED, catalogue.viewed[self.currency][self.product]
        self.stage = _PAYING
        self.tries = 0
        self.order_id = f"o-{rng.getrandbits(48):012x}"
        lines = [line_item(catalogue.products[product], quantity + 1, CURRENCIES[self.currency]) for product, quantity in self.cart]
        self.cart = []
        if self.customer is not None and self.user_id:
            self.customer.ordered(self.amount_minor)
        order = OrderPlaced(order_id=self.order_id, lines=lines, total=self._money(self.amount_minor))
        return Kind.ORDER_PLACED, Event(order_placed=order).SerializeToString()

    def _pay(self, rng: random.Random) -> tuple[int, bytes]:
        draw = rng.random()
        amount = self._money(self.amount_minor)
        if self.stage == _PAID or self.tries == _MAX_PAYMENT_TRIES:
            reason = "changed-mind" if self.stage == _PAID else "not-paid"
            self.stage = _OVER
            return Kind.ORDER_CANCELLED, Event(order_cancelled=OrderCancelled(order_id=self.order_id, reason=reason)).SerializeToString()
        if draw < self.declines:
            self.tries += 1
            failure = PaymentFailed(
                order_id=self.order_id,
                amount=amount,
                reason="declined" if draw < self.declines / 2 else "insufficient-funds",
                card_fingerprint=self.card,
            )
            return Kind.PAYMENT_FAILED, Event(payment_failed=failure).SerializeToString()
        # Afterwards: a few cancel, some shop on, most leave.
        self.stage = _PAID if draw > 0.94 else _BROWSING if draw > 0.60 else _OVER
        payment = PaymentProcessed(
            order_id=self.order_id, payment_id=f"pay-{rng.getrandbits(40):010x}", amount=amount, method="card", card_fingerprint=self.card
        )
        return Kind.PAYMENT_PROCESSED, Event(payment_processed=payment).SerializeToString()

    def _money(self, amount_minor: int) -> Money:
        return Money(amount_minor=amount_minor, currency=CURRENCIES[self.currency])
