"""The page's files: vendored code is what it is said to be, and nothing turns text into markup."""

from __future__ import annotations

import hashlib
import re

import pytest

from scripts.dashboard_app.web import STATIC

VENDOR = STATIC / "vendor"
OURS = sorted(path for path in STATIC.rglob("*.js") if VENDOR not in path.parents)


def test_vendored_files_are_unchanged() -> None:
    told = dict(re.findall(r"\| (\S+) \| `([0-9a-f]{64})` \|", (VENDOR / "VENDORED.md").read_text()))
    assert told == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir() if path.name != "VENDORED.md"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_scripts_make_no_markup_of_text(path: object) -> None:
    text = path.read_text()  # type: ignore[attr-defined]
    found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\b|new Function|javascript:", text)
    assert found == []


def test_the_page_has_no_script_of_its_own_and_none_from_elsewhere() -> None:
    html = (STATIC / "index.html").read_text()
    assert re.findall(r"\son\w+=|style=|<style|<script(?![^>]*\ssrc=\"/static/)", html) == []
    assert re.findall(r"(?:src|href)=\"(?!/static/|#)", html) == []
    assert "//" not in re.sub(r"<!--.*?-->", "", html)
    for path in (*OURS, STATIC / "style.css"):
        assert re.findall(r"[\"'(]https?://(?!www\.w3\.org)", path.read_text()) == [], path
