"""What an event adds to the insights (sales, funnel, sessions, recommendations), packed into one text. Pure: no Flink, no I/O.

One text and not a list of rows: every field that crosses from Python to the JVM costs about a microsecond for every event,
a nested one several. jobs/facts.py takes it apart again in SQL.

A text is a list of lines, joined by LINE_SEPARATOR; a line has the fields of FIELDS, joined by FIELD_SEPARATOR:

    kind  what it is                    category  product  quantity  amount_minor     currency  first  order
    V     product_viewed                x         x        1         the price        x
    C     product_added_to_cart         x         x        x         of all pieces    x
    R     product_removed_from_cart               x        x
    O     one line of order_placed      x         x        x         of all pieces    x         x      x
    b     two products of order_placed  the other  x
    T     the whole of order_placed     all of them        pieces    the total        x                x
    P     payment_processed                                          what was paid    x                x
    F     payment_failed                                             what was not     x                x

`user` ends each line but b, and so each text. The categories of a T line are joined by CATEGORY_SEPARATOR. `first` is 1 in the first line
of its category in an order, else 0: their sum counts orders. A view without a price has amount 0 and no currency. An order is its O
lines, then a b line for each product and other product of its first MOST_PAIRED lines, then one T line.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, Final

from shop.v1.events_pb2 import Event

LINE_SEPARATOR: Final = "\x1e"
FIELD_SEPARATOR: Final = "\x1f"
CATEGORY_SEPARATOR: Final = "\x1d"
MOST_PAIRED: Final = 20
"""380 b lines at most, whatever an order is made of."""
FIELDS: Final = ("kind", "category", "product_id", "quantity", "amount_minor", "currency", "first", "order_id", "user_id")

_FS: Final = FIELD_SEPARATOR


def facts(event: Event, event_type: str) -> str:
    """The facts of a valid event (none of its texts holds a separator); "" if it has none."""
    pack = _PACKERS.get(event_type)
    return "" if pack is None else pack(getattr(event, event_type), event.user_id)


def _viewed(payload: Any, user_id: str) -> str:
    price = payload.price
    return (
        f"V{_FS}{payload.category}{_FS}{payload.product_id}{_FS}1{_FS}{price.amount_minor}{_FS}{price.currency}{_FS}0{_FS}{_FS}{user_id}"
    )


def _added(payload: Any, user_id: str) -> str:
    item = payload.item
    return _line("C", item.category, item.product_id, item.quantity, _amount_minor(item), item.unit_price.currency, 0, "", user_id)


def _removed(payload: Any, user_id: str) -> str:
    return _line("R", "", payload.product_id, payload.quantity, 0, "", 0, "", user_id)


def _ordered(payload: Any, user_id: str) -> str:
    order_id, total = payload.order_id, payload.total
    seen: dict[str, None] = {}  # in their order
    lines = []
    pieces = 0
    for item in payload.lines:
        first = int(item.category not in seen)
        seen[item.category] = None
        pieces += item.quantity
        lines.append(
            _line("O", item.category, item.product_id, item.quantity, _amount_minor(item), total.currency, first, order_id, user_id)
        )
    if len(payload.lines) > 1:
        products = dict.fromkeys(item.product_id for item in payload.lines[:MOST_PAIRED])
        lines += (_line("b", other, product, 0, 0, "", 0, "", "") for product, other in permutations(products, 2))
    lines.append(_line("T", CATEGORY_SEPARATOR.join(seen), "", pieces, total.amount_minor, total.currency, 0, order_id, user_id))
    return LINE_SEPARATOR.join(lines)


def _paid(payload: Any, user_id: str) -> str:
    return _line("P", "", "", 0, payload.amount.amount_minor, payload.amount.currency, 0, payload.order_id, user_id)


def _failed(payload: Any, user_id: str) -> str:
    return _line("F", "", "", 0, payload.amount.amount_minor, payload.amount.currency, 0, payload.order_id, user_id)


def _line(*fields: object) -> str:
    return _FS.join(map(str, fields))


def _amount_minor(item: Any) -> int:
    return int(item.quantity * item.unit_price.amount_minor)


_PACKERS: Final[dict[str, Callable[[Any, str], str]]] = {
    "product_viewed": _viewed,
    "product_added_to_cart": _added,
    "product_removed_from_cart": _removed,
    "order_placed": _ordered,
    "payment_processed": _paid,
    "payment_failed": _failed,
}
