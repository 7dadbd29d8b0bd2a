"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

_PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(_PATH is None, reason="no chromium on this machine: `apt-get install chromium` (as root) brings it")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_PATH, args=["--headless", "--no-sandbox"])
        yield browser
        browser.close()


VIEW: dict[str, Any] = {"locale": "en-US", "timezone_id": "UTC", "color_scheme": "light"}
"""What a page is opened with, so that its texts are the same everywhere."""
