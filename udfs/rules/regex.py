"""RE2, imported in a thread of its own.

It is made with pybind11, which asks for the thread's own state of Python when it is imported (PyGILState_Ensure). Flink's thread mode
gives each Python operator a state, and those that are chained share a thread: only the first of them is the thread's own. Imported by
another one, RE2 would wait for ever for the lock (GIL) that its own thread holds, and with it all Python in the TaskManager: the job would
neither come up nor end. A thread that Python has made has one state only.
"""

from __future__ import annotations

from importlib import import_module
from threading import Thread

_importing = Thread(target=import_module, args=("re2",), name="import-re2")
_importing.start()
_importing.join()

import re2  # noqa: E402  (it is there already; where it can't be had, this says why)

__all__ = ["re2"]
