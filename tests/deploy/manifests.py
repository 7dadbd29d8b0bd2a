"""flink-conf/kubernetes as data: its files as they stand, and the overlays as kustomize renders them."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
KUBERNETES: Final = ROOT / "flink-conf" / "kubernetes"
SCHEMAS: Final = Path(__file__).with_name("schemas")
OVERLAYS: Final = ("dev", "prod")
IN_IMAGE: Final = "/opt/millrace/"
"""Where the image and the hosts of flink-conf/systemd have the project."""
PLACEHOLDER_JAR: Final = "local:///opt/flink/opt/"

Manifest = dict[str, Any]


def documents(path: str) -> list[Manifest]:
    """The manifests of one file under flink-conf/kubernetes."""
    return list(yaml.safe_load_all((KUBERNETES / path).read_text()))


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """What `kubectl apply -k` would send. Skips the test where there is no kustomize."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    elif shutil.which("kustomize"):
        command = ["kustomize", "build"]
    else:
        pytest.skip("neither kubectl nor kustomize is here")
    done = subprocess.run([*command, str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def one(manifests: tuple[Manifest, ...] | list[Manifest], kind: str, name: str = "millrace") -> Manifest:
    """The manifest of this kind and name."""
    (found,) = (each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def faults(manifest: Manifest) -> list[str]:
    """What the API server would refuse, or drop without a word; none: nothing."""
    errors = _validator(manifest["kind"]).iter_errors(manifest)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    path = SCHEMAS / f"{kind}.json"
    assert path.is_file(), f"no schema of {kind}: see make_schemas.py"
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


def job_arguments(deployment: Manifest) -> tuple[list[str], list[str]]:
    """Of a FlinkDeployment: what Flink's PythonDriver takes, and what jobs/main.py takes."""
    arguments = deployment["spec"]["job"]["args"]
    behind = arguments.index("-py") + 2
    return arguments[:behind], arguments[behind:]


def in_project(path: str) -> Path:
    """A path of the image -> the file here."""
    assert path.startswith(IN_IMAGE), path
    return ROOT / path.removeprefix(IN_IMAGE)
