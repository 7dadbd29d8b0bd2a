"""The code that goes along with the job."""

from __future__ import annotations

import ast

from scripts.stack.paths import ROOT


def test_packages_hold_no_code_of_their_own() -> None:
    """jobs/main.py ships them without their __init__.py."""
    for path in (ROOT / "udfs").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in body), path
