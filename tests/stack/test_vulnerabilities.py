"""What is made of pip-audit's report."""

from __future__ import annotations

import json

import pytest

from scripts import vulnerabilities
from scripts.vulnerabilities import Finding, findings, judged

MENDED = {"id": "PYSEC-1", "aliases": ["CVE-1", "GHSA-1"], "fix_versions": ["2.0", "1.9.1"], "description": "…"}
OPEN = {"id": "PYSEC-2", "aliases": [], "fix_versions": []}
REPORT = {
    "dependencies": [
        {"name": "well", "version": "1.0", "vulns": []},
        {"name": "skipped", "skip_reason": "no such package"},
        {"name": "ill", "version": "1.8", "vulns": [MENDED, OPEN]},
    ],
    "fixes": [],
}


def test_findings() -> None:
    mended = Finding("ill", "1.8", ("PYSEC-1", "CVE-1", "GHSA-1"), ("2.0", "1.9.1"))
    unmended = Finding("ill", "1.8", ("PYSEC-2",), ())
    assert findings(REPORT, {}) == [mended, unmended]
    assert findings(REPORT, {"CVE-1": "we do not call it"}) == [unmended], "answered by any of its names"


@pytest.mark.parametrize(
    ("answers", "lines", "bad"),
    [
        ({}, ["vulnerable: ill 1.8: PYSEC-1, CVE-1, GHSA-1, mended in 2.0, 1.9.1", "vulnerable: ill 1.8: PYSEC-2, not mended yet"], True),
        ({"GHSA-1": "…"}, ["vulnerable: ill 1.8: PYSEC-2, not mended yet"], False),
        ({"GHSA-1": "…", "PYSEC-2": "…"}, ["no unanswered vulnerability is known in the packages"], False),
    ],
)
def test_only_what_can_be_mended_must_be(answers: dict[str, str], lines: list[str], bad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulnerabilities, "answered", lambda: answers)
    assert judged(json.dumps(REPORT), "") == (lines, bad)


@pytest.mark.parametrize(("errors", "reason"), [("Traceback\nConnectionError: no route\n", "ConnectionError: no route"), ("", "no answer")])
def test_a_service_that_does_not_answer_is_no_finding(errors: str, reason: str) -> None:
    assert judged("", errors) == ([f"no audit of the packages: {reason}"], False)


def test_every_answer_gives_a_reason() -> None:
    assert all(len(reason) > 10 for reason in vulnerabilities.answered().values())
