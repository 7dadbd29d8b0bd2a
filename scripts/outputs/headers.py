"""The headers of a record that was read."""

from __future__ import annotations

from confluent_kafka import Message


def headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    """In their order; None: a header without a value.

    The client's type also allows a dict and texts, which are for those who send.
    """
    given = message.headers() or ()
    pairs = given.items() if isinstance(given, dict) else given
    return tuple((name, value if isinstance(value, bytes) else None) for name, value in pairs)
