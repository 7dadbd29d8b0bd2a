"""Computes what pages show once a second, however many pages there are, and hands each what has changed since it last got something."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import orjson

log = logging.getLogger(__name__)

_HEARTBEAT_S: Final = 10.0
_RETRY_MS: Final = 2_000


class Hub:
    """Of one event loop."""

    def __init__(self, sections: Callable[[], Mapping[str, Any]], interval_s: float = 1.0) -> None:
        self._compute, self._interval_s = sections, interval_s
        self._version = 0
        self._sections: dict[str, tuple[int, bytes]] = {}
        self._changed = asyncio.Event()
        self._closed = False
        self.clients = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self.publish()
            except Exception:
                # A page that shows nothing new says so itself; a dashboard that is gone says nothing.
                log.exception("the page's content could not be computed")
            await asyncio.sleep(self._interval_s)

    def publish(self) -> None:
        """Computes all sections, and wakes the pages if one has changed."""
        encoded = {name: orjson.dumps(value) for name, value in self._compute().items()}
        changed = {name: text for name, text in encoded.items() if name not in self._sections or self._sections[name][1] != text}
        if not changed:
            return
        self._version += 1
        self._sections |= {name: (self._version, text) for name, text in changed.items()}
        changed_now, self._changed = self._changed, asyncio.Event()
        changed_now.set()

    def close(self) -> None:
        """Ends all streams."""
        self._closed = True
        self._changed.set()

    def snapshot(self, since: int = 0) -> bytes:
        """The sections that have changed since a version, as a JSON object."""
        parts = (b'"%s":%s' % (name.encode(), text) for name, (version, text) in self._sections.items() if version > since)
        return b"{" + b",".join(parts) + b"}"

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events: everything, then what has changed. A page that reads slowly gets less often, and never old, news."""
        self.clients += 1
        try:
            yield b"retry: %d\n\n" % _RETRY_MS
            sent = 0
            while not self._closed:
                changed = self._changed
                if self._version > sent:
                    version, news = self._version, self.snapshot(sent)
                    yield b"id: %d\ndata: %s\n\n" % (version, news)
                    sent = version
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), _HEARTBEAT_S)
                except TimeoutError:
                    yield b": heartbeat\n\n"
        finally:
            self.clients -= 1
