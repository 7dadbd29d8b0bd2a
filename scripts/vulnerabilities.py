"""`scripts/audit`: known vulnerabilities in the pinned Python packages, by pip-audit. `scripts/test` runs it beside the tests.

Only a finding that a newer version mends and that pyproject.toml ([tool.millrace.audit]) does not answer fails `scripts/audit`. In
`scripts/test` it is a warning: what was published this morning must not decide over a change that has nothing to do with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from scripts.stack.paths import ROOT

LOCK: Final = ROOT / "requirements.lock"
_TIMEOUT_S: Final = 120.0
_ANSWER_TIMEOUT_S: Final = 10


@dataclass(frozen=True)
class Finding:
    """A vulnerability in a pinned package. `mended_in`: versions; none: there is none yet."""

    package: str
    version: str
    names: tuple[str, ...]
    mended_in: tuple[str, ...]

    def __str__(self) -> str:
        mended = f"mended in {', '.join(self.mended_in)}" if self.mended_in else "not mended yet"
        return f"{self.package} {self.version}: {', '.join(self.names)}, {mended}"


def answered() -> dict[str, str]:
    """Vulnerability -> why it does not matter here, or can't be helped yet."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["millrace"]["audit"])


def findings(report: Mapping[str, Any], reviewed: Mapping[str, str]) -> list[Finding]:
    """What pip-audit's JSON report holds and nobody has answered."""
    found = (
        Finding(package["name"], package["version"], (each["id"], *each.get("aliases", ())), tuple(each["fix_versions"]))
        for package in report["dependencies"]
        for each in package.get("vulns", ())
    )
    return [each for each in found if reviewed.keys().isdisjoint(each.names)]


def _command() -> list[str]:
    # Without asking a package index for anything: the lock holds every package with its hash.
    return [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--no-deps", "--disable-pip", "--requirement", str(LOCK),
            "--format", "json", "--progress-spinner", "off", "--timeout", str(_ANSWER_TIMEOUT_S)]  # fmt: skip


def judged(output: str, errors: str) -> tuple[list[str], bool]:
    """The lines to say, and whether something must be done, from what pip-audit wrote."""
    try:
        found = findings(json.loads(output), answered())
    except json.JSONDecodeError:
        reason = errors.strip().splitlines()[-1:] or ["no answer"]
        return [f"no audit of the packages: {reason[0][:200]}"], False
    lines = [f"vulnerable: {each}" for each in found]
    return lines or ["no unanswered vulnerability is known in the packages"], any(each.mended_in for each in found)


@contextmanager
def beside() -> Iterator[None]:
    """Audits while the block runs, and says at its end what was found; never longer than the block, and never an error."""
    with subprocess.Popen(_command(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as audit:
        try:
            yield
        finally:
            if audit.poll() is None:
                audit.kill()
            for line in judged(*audit.communicate())[0]:
                print(f"millrace: {line}", file=sys.stderr)


def main() -> None:
    try:
        done = subprocess.run(_command(), cwd=ROOT, text=True, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"millrace: no audit of the packages: no answer in {_TIMEOUT_S:.0f} s")
    lines, bad = judged(done.stdout, done.stderr)
    print("\n".join(lines))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
