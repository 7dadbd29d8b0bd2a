"""How fast numbers grow, over the last few seconds."""

from __future__ import annotations

from collections import deque


class Rate:
    """Growth per second of one running total.

    Over a window and not since the last sample: with exactly-once the outputs become visible in steps, a checkpoint apart.
    """

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now_s: float, total: int) -> None:
        """Adds a total; `now_s` comes from a clock that never goes back. A total that has fallen begins anew."""
        if self._samples and total < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now_s, total))
        # The newest of the samples that are a window old or older is kept: it is where the window begins.
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= self._window_s:
            self._samples.popleft()

    def per_second(self, now_s: float) -> float | None:
        """None while there is too little to tell, or when the samples have ceased to come."""
        if len(self._samples) < 2:
            return None
        (begin_s, begin), (end_s, end) = self._samples[0], self._samples[-1]
        if end_s <= begin_s or now_s - end_s > self._window_s:
            return None
        return (end - begin) / (end_s - begin_s)
