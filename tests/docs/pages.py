"""The project's Markdown pages as data: links, anchors, commands."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_FENCE: Final = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_INLINE: Final = re.compile(r"`((?:\./)?scripts/[a-z]+(?: [^`]*)?)`")
_SCRIPT: Final = re.compile(r"(?:\./)?scripts/([a-z]+)")


@dataclass(frozen=True)
class Command:
    """A program of the project as a page calls it: the script's name ("job": jobs/main.py), and its words."""

    page: str
    program: str
    words: tuple[str, ...]

    @property
    def options(self) -> set[str]:
        return {word.split("=")[0].rstrip(",;:.") for word in self.words if re.match(r"--[a-z]", word)}


@cache
def pages() -> dict[str, str]:
    """Path from the root -> text, of every page that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name: (ROOT / name).read_text() for name in listed.stdout.split() if "vendor" not in name and (ROOT / name).is_file()}


def links(text: str) -> list[str]:
    """Where a page's links lead that stay in the project; code is none."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    return [target for target in _LINK.findall(prose) if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().strip()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def commands(page: str, text: str) -> list[Command]:
    """Calls of the project's programs, in blocks of sh and between backticks."""
    lines = [line for indent, kind, body in _FENCE.findall(text) if kind == "sh" for line in body.replace("\\\n", " ").splitlines()]
    lines += _INLINE.findall(_FENCE.sub("", text))
    found = []
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe in what is no command
            words = line.split()
        for number, word in enumerate(words):
            script = _SCRIPT.fullmatch(word)
            if script:
                found.append(Command(page, script.group(1), tuple(_until_next(words[number + 1 :]))))
            elif word == "jobs/main.py":
                found.append(Command(page, "job", tuple(_until_next(words[number + 1 :]))))
    return found


def _until_next(words: list[str]) -> list[str]:
    """The words up to the end of this command."""
    for number, word in enumerate(words):
        if word in {"&&", "||", "|", ";", "&", ">"}:
            return words[:number]
    return words
