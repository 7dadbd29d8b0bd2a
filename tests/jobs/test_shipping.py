"""The code that goes along with the job: a package named after its version, so that one interpreter can hold several."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.shipping import copy_release, release, written
from scripts.stack.paths import ROOT

# As the client does it: builds an object from the code that is to go along, and pickles it.
_CLIENT = """
import sys
from pathlib import Path
import cloudpickle
from jobs import shipping
code = shipping.adopt(Path(sys.argv[1]))
from udfs.validation import InvalidEvent, decode
class Stage:
    def decode(self, value):
        try:
            return [name.name for name in decode(value, 0, 10**15, 10**6)[0].DESCRIPTOR.fields]
        except InvalidEvent as invalid:
            return str(invalid)
shipping.shutil.copytree(code.folder, sys.argv[2])
Path(sys.argv[3]).write_bytes(cloudpickle.dumps(Stage()))
"""
# As a TaskManager in thread mode does it: one interpreter, a folder for each job on its path, and what is in it imported on the way.
_TASK_MANAGER = """
import shutil, sys
import cloudpickle
stages = []
for folder, pickled in zip(sys.argv[1::2], sys.argv[2::2]):
    sys.path.insert(0, folder)
    stages.append(cloudpickle.load(open(pickled, "rb")))
    print(stages[-1].decode(b"broken"))
event = bytes.fromhex("0a0165120173200182010c0a01701201742204080112012482010a")
print(stages[0].decode(b"broken"))
names = [name for name in sys.modules if name.endswith("events_pb2")]
print(sorted(len(sys.modules[name].Event.DESCRIPTOR.fields) for name in names))
"""


def run(code: str, *arguments: object) -> str:
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}", "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A checkout whose dead letters say something else, and whose events have one more field."""
    checkout = tmp_path / "changed"
    copy_release(ROOT, checkout)
    validation = checkout / "udfs" / "validation.py"
    text = validation.read_text()
    assert text.count('"not a shop.v1.Event') == 1
    validation.write_text(text.replace('"not a shop.v1.Event', '"CHANGED: not a shop.v1.Event'))
    schema = checkout / "proto" / "shop" / "v1" / "events.proto"
    shutil.copy2(ROOT / "proto" / "shop" / "v1" / "events.proto", schema)
    schema.write_text(re.sub(r"(message Event \{)", r"\1\n  string added = 15;", schema.read_text(), count=1))
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", "--python_out=.", "shop/v1/events.proto"]
    subprocess.run(protoc, cwd=checkout / "proto", check=True)
    return checkout


@pytest.mark.thorough
def test_two_versions_stand_side_by_side_in_one_interpreter(tmp_path: Path, changed: Path) -> None:
    folders = []
    for number, checkout in enumerate((ROOT, changed)):
        folders += [tmp_path / f"folder-{number}", tmp_path / f"pickled-{number}"]
        run(_CLIENT, checkout, *folders[-2:])
    before, after, before_again, fields = run(_TASK_MANAGER, *folders).splitlines()
    assert before == before_again
    assert before != after
    assert after == before.replace("not a shop", "CHANGED: not a shop")
    low, high = ast.literal_eval(fields)
    assert high == low + 1, "each version has a schema of its own"


def test_the_name_is_that_of_the_content(tmp_path: Path) -> None:
    first, same = written(ROOT, tmp_path / "first"), written(ROOT, tmp_path / "same")
    assert first.package == same.package
    for module in first.modules:
        path = first.folder / first.package / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file()
    assert {"udfs", "udfs.rules", "udfs.router", "udfs.rules.engine", "shop", "shop.v1.events_pb2"} < set(first.modules)


def test_what_is_shipped_imports_itself_by_its_own_name(tmp_path: Path) -> None:
    """Any other way to import would find another version, or nothing."""
    code = written(ROOT, tmp_path)
    for path in code.folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
            assert not any(name.partition(".")[0] in ("udfs", "shop") for name in names), path
            assert not (isinstance(node, ast.Import) and any(name.startswith(code.package) for name in names)), f"{path}: binds the package"


def test_a_copied_release_is_the_same_release(tmp_path: Path) -> None:
    copy_release(ROOT, tmp_path)
    assert release(tmp_path) == release(ROOT)
    (tmp_path / "rules" / "orders.yaml").write_text("")
    assert release(tmp_path) != release(ROOT)


_TOO_LATE = """
import sys
from pathlib import Path
import udfs.rules
from jobs import shipping
try:
    shipping.adopt(Path(sys.argv[1]))
except RuntimeError as error:
    print(error)
"""


def test_it_is_too_late_once_udfs_is_imported() -> None:
    assert run(_TOO_LATE, ROOT).startswith("udfs was imported before")


def test_packages_hold_no_code_of_their_own() -> None:
    """They are shipped without their __init__.py."""
    for path in (ROOT / "udfs").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in body), path
