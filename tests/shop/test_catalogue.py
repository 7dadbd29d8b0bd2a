"""Products have neighbours, and visitors follow them: else nothing could be recommended but what is popular."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from shop.v1.events_pb2 import Event

from scripts.shop.catalogue import CLUSTER_SIZE, NEAR_SLOTS, Catalogue, build_catalogue, clusters
from scripts.shop.sessions import Session, Stage


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build_catalogue(random.Random(1))


def test_clusters_hold_every_product_once_and_one_category_each(catalogue: Catalogue) -> None:
    groups = clusters(random.Random(2), catalogue.products)
    assert sorted(index for group in groups for index in group) == list(range(len(catalogue.products)))
    assert max(map(len, groups)) == CLUSTER_SIZE
    assert all(len({catalogue.products[index].category for index in group}) == 1 for group in groups)


def test_near_is_mostly_of_the_same_category_and_never_the_product_itself(catalogue: Catalogue) -> None:
    assert {len(near) for near in catalogue.near} == {NEAR_SLOTS}
    products = catalogue.products
    pairs = [(one, products[other]) for one, near in zip(products, catalogue.near, strict=True) for other in near]
    same = sum(one.category == other.category for one, other in pairs) / len(pairs)
    assert 0.6 < same < 0.9
    assert sum(one is other for one, other in pairs) / len(pairs) < 0.02  # a cluster may be its own complement


@pytest.mark.parametrize("count", [1, 2, 13])
def test_small_catalogues(count: int) -> None:
    assert {len(near) for near in build_catalogue(random.Random(1), count).near} == {NEAR_SLOTS}


def test_visitors_stay_near_two_times_of_three(catalogue: Catalogue) -> None:
    rng, index = random.Random(3), {product.product_id: place for place, product in enumerate(catalogue.products)}
    looks: Counter[bool] = Counter()
    for number in range(2_000):
        session, last = Session(f"s-{number}", rng, compact=True), -1
        for _ in range(20):
            _, payload = session.step(rng, catalogue)
            if session.stage == Stage.OVER:
                break
            viewed = Event.FromString(payload).product_viewed.product_id
            if viewed:
                if last >= 0:
                    looks[index[viewed] in catalogue.near[last]] += 1
                last = index[viewed]
    share = looks[True] / looks.total()
    assert 0.6 < share < 0.75
