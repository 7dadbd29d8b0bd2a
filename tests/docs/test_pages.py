"""What the pages point to is there: files, headings, programs and their options."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from jobs.settings import Settings
from tests.docs.pages import ROOT, Command, anchors, commands, links, pages

SCRIPTS: Final = ROOT / "scripts"
_PYTEST: Final = {"--cov", "--durations"}
_ADDS_AN_OPTION: Final = {"add_argument", "number"}


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    broken = [target for target in links(pages()[page]) if not leads_somewhere(page, target)]
    assert broken == []


def leads_somewhere(page: str, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (ROOT / page).parent / path if path else ROOT / page
    if not there.exists():
        return False
    return not anchor or there.suffix != ".md" or anchor in anchors(there.read_text())


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page in pages():
            seen.add(page)
            files = [target.split("#")[0] for target in links(pages()[page]) if target[0] != "#"]
            waiting += [str(((ROOT / page).parent / file).resolve().relative_to(ROOT)) for file in files]
    assert {page for page in pages() if page.startswith("docs/") or "/" not in page} <= seen


@pytest.mark.parametrize("page", pages())
def test_commands_exist_with_their_options(page: str) -> None:
    unknown = {f"{each.program} {name}" for each in commands(page, pages()[page]) for name in unknown_words(each)}
    assert unknown == set()


def unknown_words(command: Command) -> set[str]:
    if command.program == "job":
        return command.options - job_options()
    if not (SCRIPTS / command.program).is_file():
        return {"(no such script)"}
    unknown = command.options - options_of(command.program) - {"--help"}
    if command.program == "millrace":
        if command.words[:1] == ("job",):  # behind -- come the job's own options
            unknown -= job_options()
        verbs = {part for word in command.words[:1] for part in word.split(",")}
        verbs |= {word.rstrip(",") for word in command.words[1:2] if command.words[0] == "rules" and re.fullmatch(r"[a-z-]+,?", word)}
        unknown |= verbs - {"…", "rules", "job", "chaos", *verbs_in("control"), *verbs_in("operate"), *verbs_in("planning")}
    return unknown


@cache
def job_options() -> set[str]:
    names = {f"--{each.name.replace('_', '-')}" for each in fields(Settings)}
    return names | {f"--no-{each.name.replace('_', '-')}" for each in fields(Settings) if each.type == "bool"} | {"--help"}


@cache
def options_of(script: str) -> frozenset[str]:
    """Every option that the script's code names: in add_argument, or as a field of settings that a command line is made from.

    Read from the source: to ask each program with --help would take a second for each.
    """
    text = (SCRIPTS / script).read_text()
    module = re.search(r"bootstrap\.py\"? ([\w.]+)", text)
    if module is None:
        return frozenset(re.findall(r"--[a-z][\w-]*", text))
    if module.group(1) == "scripts.run_tests":
        return frozenset(_PYTEST)
    package = (ROOT / module.group(1).replace(".", "/")).parent
    files = [*package.glob("*.py"), *SCRIPTS.glob("*.py")]
    if script == "millrace":
        files += [path for folder in ("chaos", "job_app", "operate", "planning") for path in (SCRIPTS / folder).glob("*.py")]
    if script == "demo":
        files += (SCRIPTS / "stack").glob("*.py")
    return frozenset(option for path in files for option in _options_in(path))


def _options_in(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _ADDS_AN_OPTION:
            values = (each.value for each in node.args if isinstance(each, ast.Constant))
            found |= {value for value in values if isinstance(value, str) and value.startswith("--")}
        if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
            names = [each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]
            found |= {f"--{name.replace('_', '-')}" for name in names}
    return found


@cache
def verbs_in(package: str) -> frozenset[str]:
    text = "".join(path.read_text() for path in (SCRIPTS / package).glob("*.py"))
    return frozenset(re.findall(r"(?:add_parser|_command|_add_one)\(\s*(?:\w+,\s*)?\"([a-z-]+)\"", text))


def test_faults_in_pages_are_found() -> None:
    assert not leads_somewhere("README.md", "docs/nowhere.md")
    assert not leads_somewhere("README.md", "docs/architecture.md#no-such-heading")
    assert leads_somewhere("README.md", "docs/architecture.md#failure-domains")
    page = "Run `scripts/verify --no-such-thing`.\n\n```sh\n./scripts/nowhere --for 1\nflink run -py jobs/main.py --lateness 5\n```\n"
    found = [(each.program, unknown_words(each)) for each in commands("x.md", page)]
    assert found == [("nowhere", {"(no such script)"}), ("job", {"--lateness"}), ("verify", {"--no-such-thing"})]
