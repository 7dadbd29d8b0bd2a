"""What the shop sells, and every payload that depends only on a product, serialised once.

A payload's bytes inside an `Event` are exactly the bytes of an `Event` that has only this payload, and protobuf's
wire format joins by concatenation. So a product's "viewed" payload is serialised once at start and only appended per event:
that is what lets one process make more than 100,000 events a second.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from shop.v1.events_pb2 import (
    Event,
    LineItem,
    Money,
    ProductAddedToCart,
    ProductRemovedFromCart,
    ProductSearched,
    ProductViewed,
)

CURRENCIES = ("USD", "EUR", "GBP")
CATEGORIES: tuple[tuple[str, int], ...] = (  # name, median price in minor units
    ("books", 1_499),
    ("groceries", 699),
    ("beauty", 1_899),
    ("toys", 2_299),
    ("clothing", 3_499),
    ("shoes", 6_999),
    ("home", 4_999),
    ("garden", 5_499),
    ("sports", 5_999),
    ("music", 8_999),
    ("electronics", 19_999),
    ("computers", 64_999),
)
QUANTITIES = (1, 2, 3)
_QUERIES = (
    "running shoes", "usb-c cable", "coffee", "desk lamp", "novel", "headphones", "rain jacket", "garden hose", "lego",
    "face cream", "yoga mat", "laptop 14", "guitar strings", "olive oil", "backpack", "gift", "", "kopfhörer", "câble", "phone case",
)  # fmt: skip
_PICKS = 1 << 16
ZIPF_EXPONENT = 1.05
CLUSTER_SIZE = 8
"""Products of one category that belong together: interest in one is interest in the others."""
NEAR_SLOTS = 16
_COMPLEMENT_SLOTS = 5
"""Of NEAR_SLOTS, those of the complements: the cluster, mostly of another category, that goes with this one."""


@dataclass(frozen=True, slots=True)
class Product:
    """One thing for sale. `price_minor` is the same number in each currency."""

    product_id: str
    category: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Products with their ready payload bytes.

    The tables are indexed [currency][product] or [currency][product][quantity - 1]. `picks` is a table of product
    indices in which a product stands as often as it is popular: one multiplication picks a product by Zipf's law.
    `near[product]` is such a table of what interests somebody who has just looked at it: NEAR_SLOTS indices.
    """

    products: tuple[Product, ...]
    picks: tuple[int, ...]
    near: tuple[tuple[int, ...], ...]
    viewed: tuple[tuple[bytes, ...], ...]
    added: tuple[tuple[tuple[bytes, ...], ...], ...]
    removed: tuple[tuple[bytes, ...], ...]  # [product][quantity - 1]
    searched: tuple[bytes, ...]


def zipf_picks(count: int, slots: int = _PICKS) -> tuple[int, ...]:
    """`slots` indices below `count`, index i about in proportion to 1 / (i + 1) ** ZIPF_EXPONENT."""
    weights = list(accumulate(1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(count)))
    picks: list[int] = []
    for index, edge in enumerate(weights):
        picks.extend([index] * (round(edge / weights[-1] * slots) - len(picks)))
    return tuple(picks)


def clusters(rng: random.Random, products: Sequence[Product]) -> list[list[int]]:
    """The products' indices in groups of CLUSTER_SIZE at most, each of one category."""
    by_category: dict[str, list[int]] = {}
    for index, product in enumerate(products):
        by_category.setdefault(product.category, []).append(index)
    groups: list[list[int]] = []
    for members in by_category.values():
        rng.shuffle(members)
        groups.extend(members[start : start + CLUSTER_SIZE] for start in range(0, len(members), CLUSTER_SIZE))
    return groups


def near_tables(rng: random.Random, products: Sequence[Product]) -> tuple[tuple[int, ...], ...]:
    """For each product, NEAR_SLOTS others (few of them often): mates of its cluster, and complements of them all."""
    groups = clusters(rng, products)
    near: list[tuple[int, ...]] = [()] * len(products)
    for group in groups:
        complements = groups[rng.randrange(len(groups))]
        for index in group:
            mates = [other for other in group if other != index] or complements
            rng.shuffle(mates)
            likes = [1 / (rank + 1) for rank in range(len(mates))]
            near[index] = (*rng.choices(mates, likes, k=NEAR_SLOTS - _COMPLEMENT_SLOTS), *rng.choices(complements, k=_COMPLEMENT_SLOTS))
    return tuple(near)


def line_item(product: Product, quantity: int, currency: str) -> LineItem:
    price = Money(amount_minor=product.price_minor, currency=currency)
    return LineItem(product_id=product.product_id, category=product.category, quantity=quantity, unit_price=price)


@lru_cache(maxsize=16)
def catalogue_of(seed: int, compact: bool, hot_category: float = 0) -> Catalogue:
    """The catalogue of a shop, which its settings alone decide. Kept, since it takes longer to make than a thousand events."""
    return build_catalogue(random.Random(seed), compact=compact, hot_category=hot_category)


def build_catalogue(rng: random.Random, count: int = 800, compact: bool = False, hot_category: float = 0) -> Catalogue:
    """`count` products over all categories; `compact` leaves out what makes a payload long (see `Settings.compact`).

    `hot_category`: the first category has that share of what is looked at, by popularity of its products.
    """
    products: list[Product] = []
    picks = zipf_picks(count)
    weights = Counter(picks)
    hot = seen = 0
    for index in range(count):
        category, median_minor = CATEGORIES[rng.randrange(len(CATEGORIES))]
        if hot_category:  # the most popular come first, so the share is met from the beginning on
            seen += weights[index]
            category, median_minor = CATEGORIES[0] if hot < hot_category * seen else CATEGORIES[1 + index % (len(CATEGORIES) - 1)]
            hot += weights[index] if category == CATEGORIES[0][0] else 0
        price_minor = max(99, round(median_minor * rng.lognormvariate(0, 0.5)))
        name = f"p{index}" if compact else f"{category[:3].upper()}-{index:05d}"
        products.append(Product(name, category, price_minor))

    def viewed(product: Product, currency: str) -> bytes:
        price = None if compact else Money(amount_minor=product.price_minor, currency=currency)
        return Event(
            product_viewed=ProductViewed(product_id=product.product_id, category=product.category, price=price)
        ).SerializeToString()

    def added(product: Product, quantity: int, currency: str) -> bytes:
        return Event(product_added_to_cart=ProductAddedToCart(item=line_item(product, quantity, currency))).SerializeToString()

    def removed(product: Product, quantity: int) -> bytes:
        payload = ProductRemovedFromCart(product_id=product.product_id, quantity=quantity)
        return Event(product_removed_from_cart=payload).SerializeToString()

    searched = tuple(
        Event(product_searched=ProductSearched(query=query, results=rng.randrange(400))).SerializeToString()
        for query in _QUERIES
        for _ in range(5)
    )
    return Catalogue(
        products=tuple(products),
        picks=picks,
        near=near_tables(rng, products),
        viewed=tuple(tuple(viewed(product, currency) for product in products) for currency in CURRENCIES),
        added=tuple(
            tuple(tuple(added(product, quantity, currency) for quantity in QUANTITIES) for product in products) for currency in CURRENCIES
        ),
        removed=tuple(tuple(removed(product, quantity) for quantity in QUANTITIES) for product in products),
        searched=searched,
    )
