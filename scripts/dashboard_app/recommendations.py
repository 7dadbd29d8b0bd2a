"""Recommendations by user and product, and trends. Pure.

There may be thousands of users a second: their records are kept as they came, and taken apart when somebody asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from scripts.dashboard_app.bounded import Newest, shortened
from scripts.outputs.record import Fields, Record, Unreadable

_MOST_USERS: Final = 10_000
_MOST_PRODUCTS: Final = 10_000
_MOST_CATEGORIES: Final = 60
_MOST_BYTES: Final = 8_192
_MOST_KEY: Final = 200
_ITEMS: Final = 10
_SUGGESTIONS: Final = 10


class Kept:
    """Records of a compacted topic by key, undecoded."""

    def __init__(self, limit: int) -> None:
        self._records: Newest[str, Record] = Newest(limit)

    def __len__(self) -> int:
        return len(self._records)

    def observe(self, record: Record) -> None:
        """Raises Unreadable for what can't be kept."""
        if len(record.value) > _MOST_BYTES:
            raise Unreadable(record, f"{len(record.value)} bytes, allowed are {_MOST_BYTES}")
        try:
            key = record.key.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(record, f"the key is no UTF-8: {error.reason}") from error
        if not 0 < len(key) <= _MOST_KEY:
            raise Unreadable(record, f"a key of {len(key)} characters, allowed are 1 to {_MOST_KEY}")
        if record.value:
            self._records.put(key, record)
        else:
            self._records.drop(key)

    def get(self, key: str) -> Record | None:
        return self._records.get(key)

    def with_text(self, text: str) -> Iterator[str]:
        """Keys that hold `text`, whatever its case, last written first."""
        wanted = text.casefold()
        return (key for key in self._records if wanted in key.casefold())


class Recommendations:
    """What the topics recommendations.by-user, recommendations.by-product and trending.by-category say."""

    def __init__(self) -> None:
        self.users = Kept(_MOST_USERS)
        self.products = Kept(_MOST_PRODUCTS)
        self._trends: Newest[str, dict[str, Any]] = Newest(_MOST_CATEGORIES)

    def observe_trend(self, record: Record) -> None:
        """Raises Unreadable."""
        if not record.value:
            self._trends.drop(shortened(record.key.decode(errors="replace")))
            return
        fields = record.json()
        category = shortened(fields.text("category"))
        self._trends.put(category, {"category": category, "time_ms": fields.integer("time_ms"), "items": _items(fields, "items")})

    def of_user(self, user: str) -> dict[str, Any] | None:
        """For a user id, or a session id while nobody is signed in; None if there are none. Raises Unreadable."""
        record = self.users.get(user)
        if record is None:
            return None
        fields = record.json()
        return {"time_ms": fields.integer("time_ms"), "items": _items(fields, "items")}

    def of_product(self, product: str) -> dict[str, Any] | None:
        """As `of_user`."""
        record = self.products.get(product)
        if record is None:
            return None
        fields = record.json()
        return {
            "category": shortened(fields.text("category")),
            "time_ms": fields.integer("time_ms"),
            "also_viewed": _items(fields, "also_viewed"),
            "also_bought": _items(fields, "also_bought"),
        }

    def of(self, who: str) -> dict[str, Any]:
        """For any id: what is known of a user of this id, and of a product. Raises Unreadable."""
        return {"id": who, "user": self.of_user(who), "product": self.of_product(who)}

    def suggestions(self, text: str) -> dict[str, list[str]]:
        """Users and products whose id holds `text`, those that were last heard of first."""
        return {
            "users": list(islice(self.users.with_text(text), _SUGGESTIONS)),
            "products": list(islice(self.products.with_text(text), _SUGGESTIONS)),
        }

    def trends_view(self) -> list[dict[str, Any]]:
        """By category."""
        return sorted(self._trends.values(), key=lambda trend: trend["category"])

    def counts_view(self) -> dict[str, int]:
        return {"users": len(self.users), "products": len(self.products)}


def _items(fields: Fields, name: str) -> list[dict[str, Any]]:
    return [{"product_id": shortened(each.text("product_id")), "score": each.number("score")} for each in fields.objects(name, _ITEMS)]
