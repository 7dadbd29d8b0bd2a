"""A shop of half an hour in records, for looking at the page: `python -m tests.dashboard_app.simulated --port 8090`.

Random, but by a seed: the same picture each time, apart from the clock.
"""

from __future__ import annotations

import argparse
import math
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from scripts.dashboard_app.main import Server
from scripts.dashboard_app.shared import Shared
from scripts.dashboard_app.state import About
from scripts.dashboard_app.web import create_app
from scripts.outputs.flink import Checkpoint
from scripts.outputs.record import Offsets, Record
from tests.dashboard_app.samples import (
    ALL_SINKS,
    MINUTE_MS,
    TOPICS,
    alert,
    dead_letter,
    for_product,
    for_user,
    funnel,
    job,
    minute,
    rule,
    session,
    status,
    top,
    trend,
    window,
)  # fmt: skip

CATEGORIES = {"computers": 9.0, "electronics": 6.4, "music": 3.1, "shoes": 2.9, "sports": 2.3, "garden": 1.9, "home": 1.8, "clothing": 1.4,
              "toys": 0.9, "beauty": 0.8, "books": 0.6, "groceries": 0.3}  # fmt: skip
CURRENCIES = {"USD": 1.0, "EUR": 0.55, "GBP": 0.3}
SLIDE_MS = 10_000
REASONS = (
    ("order-velocity", "user", "7 orders of one user in 60 s, allowed are 4"),
    ("failed-payments", "card", "5 failed payments with one card in 10 min, allowed are 3"),
    ("amount-outlier", "user", "$2,480.00 is 6.1 deviations above this user's mean of $84.20"),
    ("impossible-travel", "user", "from DE to BR in 4 min"),
    ("many-accounts", "device", "9 accounts on one device in 1 h, allowed are 3"),
    ("order-without-view", "session", "an order without a view in its session"),
)


def windows(end_ms: int, randomness: random.Random) -> Iterator[Record]:
    """What the job writes for a slide that ends at `end_ms`."""
    for index, (category, weight) in enumerate(CATEGORIES.items()):
        wave = 1 + 0.35 * math.sin(end_ms / 240_000 + index) + randomness.gauss(0, 0.04)
        for currency, share in CURRENCIES.items():
            orders = max(1, round(60 * share * wave / (1 + weight / 3)))
            yield window(category, round(weight * share * wave * 260_000), end_ms=end_ms, currency=currency, orders=orders)
        views = round(5_200 / (1 + weight / 4) * wave)
        carts = round(views * (0.19 + index / 200))
        orders = round(carts * 0.44)
        yield funnel(category, views, carts, orders, round(orders * 0.93), end_ms)
    for currency, share in CURRENCIES.items():
        for rank in range(1, 11):
            category = list(CATEGORIES)[rank * 5 % 12 // 3]
            product = f"{category[:3].upper()}-{rank * 37 % 800:05d}"
            yield top(rank, product, round(1_900_000 * share / rank), category=category, currency=currency, end_ms=end_ms)


def minutes(start_ms: int, randomness: random.Random) -> Iterator[Record]:
    for currency, share in CURRENCIES.items():
        orders = round(150 * share * (1 + 0.2 * math.sin(start_ms / 300_000)) + randomness.gauss(0, 6))
        at_risk = randomness.randrange(2, 9)
        yield minute(start_ms, orders, orders * 9_870, currency=currency, at_risk_orders=at_risk, at_risk_minor=at_risk * 8_120)


def alerts(number: int, now_ms: int, randomness: random.Random) -> Iterator[Record]:
    for index in range(number):
        rule_id, by, text = REASONS[randomness.randrange(len(REASONS))]
        time_ms = now_ms - randomness.randrange(25 * MINUTE_MS)
        one = alert(f"a-{now_ms}-{index}", randomness.randrange(35, 100), time_ms=time_ms, rule_id=rule_id, text=text,
                    subject=f"{by}:{randomness.getrandbits(32):08x}", reasons=1 + (index % 3 == 0))  # fmt: skip
        yield one


def people(now_ms: int, randomness: random.Random) -> Iterator[Record]:
    products = [f"{category[:3].upper()}-{number:05d}" for category in CATEGORIES for number in range(8)]
    for index in range(60):
        yield for_user(f"user-{index * 7919 % 10_000:05d}", *randomness.sample(products, 6), time_ms=now_ms)
        yield for_product(products[index], tuple(randomness.sample(products, 5)), tuple(randomness.sample(products, 4)))
    for category in CATEGORIES:
        yield trend(category, *[f"{category[:3].upper()}-{randomness.randrange(800):05d}" for _ in range(8)], time_ms=now_ms)


def housekeeping(now_ms: int, randomness: random.Random) -> Iterator[Record]:
    for name, version, mode, matched in (("session-activity", 1, "active", 1_204_331), ("orders", 3, "active", 61_220),
                                         ("payments", 1, "active", 58_104), ("high-value-orders", 4, "active", 1_911),
                                         ("failed-payments", 1, "paused", 0), ("big-baskets", 2, "shadow", 0)):  # fmt: skip
        yield rule(name, version, mode=mode, description=f"What goes to {name}")
        yield status(name, version, time_ms=now_ms)
        shadow = 402 if mode == "shadow" else 0
        yield status(name, version, "counted", time_ms=now_ms, evaluated=1_900_421, matched=matched, shadow_matched=shadow,
                     errors=3 if name == "big-baskets" else 0)  # fmt: skip
    for index in range(240):
        orders = int(randomness.random() < 0.16)
        carts = max(orders, int(randomness.random() < 0.4))
        yield session(f"s-{index}", length_ms=randomness.randrange(20_000, 900_000), views=randomness.randrange(1, 14), carts=carts,
                      orders=orders, time_ms=now_ms - randomness.randrange(50 * MINUTE_MS))  # fmt: skip
    for reason, number in (("malformed", 41), ("missing_field", 22), ("clock_gap", 9), ("too_large", 2)):
        yield from [dead_letter(reason)] * number
    yield from [Record(TOPICS.late, b"x", time_ms=now_ms)] * 137


def fill(shared: Shared, seed: int = 7, minutes_back: int = 32) -> None:
    """Everything that half an hour brings, up to now."""
    randomness = random.Random(seed)
    now_ms = time.time_ns() // 1_000_000
    newest_ms = (now_ms - 3_000) // SLIDE_MS * SLIDE_MS
    records: list[Record] = []
    for end_ms in range(newest_ms - minutes_back * MINUTE_MS, newest_ms + 1, SLIDE_MS):
        records += windows(end_ms, randomness)
    newest_minute_ms = newest_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS
    for start_ms in range(newest_minute_ms - minutes_back * MINUTE_MS, newest_minute_ms + 1, MINUTE_MS):
        records += minutes(start_ms, randomness)
    records += [*people(now_ms, randomness), *housekeeping(now_ms, randomness), *alerts(14, now_ms, randomness)]
    shared.records(records)


def go_on(shared: Shared, ended: threading.Event, rate: int = 2_000) -> None:
    """Lets time go by until `ended`."""
    randomness = random.Random(3)
    arrived, last_ms = 0, 0
    while not ended.is_set():
        now_ms = time.time_ns() // 1_000_000
        arrived += round(rate * 0.5 * randomness.uniform(0.93, 1.07))
        end_ms = (now_ms - 3_000) // SLIDE_MS * SLIDE_MS
        if end_ms > last_ms:
            shared.records(list(windows(end_ms, randomness)))
            if end_ms // MINUTE_MS > last_ms // MINUTE_MS > 0:
                shared.records(list(minutes(end_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS, randomness)))
            last_ms = end_ms
        shared.offsets(Offsets(arrived, randomness.randrange(1_500, 4_500)))
        view = job(started_ms=now_ms - 3_600_000, checkpoint=Checkpoint(412, now_ms - randomness.randrange(2_000), 184))
        tasks = tuple(replace(task, watermark_ms=task.watermark_ms and now_ms - 2_050) for task in view.tasks)
        shared.job(replace(view, tasks=tasks, sinks=ALL_SINKS))
        ended.wait(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    options = parser.parse_args()
    shared, ended = Shared(About("127.0.0.1:9092", "http://127.0.0.1:8081")), threading.Event()
    fill(shared)
    going = threading.Thread(target=go_on, args=(shared, ended))
    going.start()
    print(f"http://127.0.0.1:{options.port}", flush=True)
    try:
        Server(create_app(shared)).run([socket.create_server(("127.0.0.1", options.port))])
    finally:
        ended.set()
        going.join()


if __name__ == "__main__":
    main()
