"""RE2 can be imported by an operator whose thread has had another state of Python before."""

from __future__ import annotations

import subprocess
import sys

_HUNG_S = 60
"""It takes a moment, or for ever."""
# A sub-interpreter, as the second of two chained operators, has a state that is not the thread's own.
_PROGRAM = """
import sys, _xxsubinterpreters as interpreters
program = f"import sys; sys.path[:] = {sys.path!r}; from udfs.rules.regex import re2; print(re2.fullmatch('a+', 'aaa')[0])"
interpreters.run_string(interpreters.create(isolated=False), program)
"""


def test_re2_is_imported_where_the_state_is_not_the_threads_own() -> None:
    program = f"import sys; sys.path[:] = {sys.path!r}\n{_PROGRAM}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=_HUNG_S, check=False)
    assert (ended.stdout, ended.returncode) == ("aaa\n", 0), ended.stderr
