"""The Python code that runs inside Flink, sent along with the job as a package that is named after its version.

A TaskManager in thread mode has one Python interpreter, which keeps what it has once imported for as long as it lives, over the end of a
job. Under the name `udfs`, the code of the first job would run in all later ones, whatever came along with them. Under a name of its own,
each version is imported once and stands beside the others: for a job that was upgraded, and for two jobs of different code at a time.

So the job is built from the very package that it ships (`adopt`): PyFlink writes down functions and classes by the name of their module,
and that is then the version's.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SHIPPED: Final = {"udfs": "udfs", "shop": "proto/shop"}
"""Top-level package -> its folder in the checkout."""
_OF_THE_JOB: Final = ("jobs/*.py", "jobs/*.java", "udfs/**/*.py", "proto/**/*.py", "rules/*.yaml")
_IMPORT: Final = re.compile(rf"^(\s*(?:from|import)\s+)({'|'.join(_SHIPPED)})(?=[.\s])", re.MULTILINE)
# Messages of the same name but different fields can't be in one pool, and the default one is the process's.
_POOL: Final = "_descriptor_pool.Default()"


@dataclass(frozen=True)
class Code:
    """A version of the code on its way: `package` is its name, `folder` holds it, `modules` are what it consists of, parents first."""

    package: str
    folder: Path
    modules: tuple[str, ...]

    def archive(self) -> str:
        """A zip file for `add_python_file`; goes when this process ends."""
        return shutil.make_archive(str(self.folder.parent / "millrace"), "zip", self.folder)


def adopt(root: Path) -> Code:
    """Makes the names `udfs` and `shop` stand for the version's package in this process.

    Args:
        root: the checkout.

    Raises:
        RuntimeError: something has imported one of them before, so that there would be two of each class.
    """
    if known := sorted(name for name in sys.modules if name.partition(".")[0] in _SHIPPED):
        raise RuntimeError(f"{known[0]} was imported before jobs/shipping.py could name it after its version")
    code = written(root, Path(tempfile.mkdtemp(prefix="millrace-")))
    atexit.register(shutil.rmtree, code.folder.parent, ignore_errors=True)
    sys.path.insert(0, str(code.folder))
    for name in code.modules:
        sys.modules[name] = importlib.import_module(f"{code.package}.{name}")
    return code


def written(root: Path, folder: Path) -> Code:
    """Writes the checkout's code into `folder`, as the package of its version."""
    files = {f"{name}/{path.relative_to(root / source)}": path for name, source in _SHIPPED.items() for path in _code(root / source)}
    package = f"millrace_{_digest((name, path.read_bytes()) for name, path in files.items())}"
    for name, path in files.items():
        target = folder / "code" / package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = _IMPORT.sub(rf"\g<1>{package}.\g<2>", path.read_text())
        target.write_text(text.replace(_POOL, "_descriptor_pool.DescriptorPool()") if name.endswith("_pb2.py") else text)
    parts = [Path(name).with_suffix("").parts for name in files]
    modules = {".".join(each[:length]) for each in parts for length in range(1, len(each) + 1)}
    return Code(package, folder / "code", tuple(sorted(modules)))


def release(root: Path) -> str:
    """Names what a checkout's job is made of, its baseline rules included: the same for the same files."""
    paths = sorted(path for pattern in _OF_THE_JOB for path in root.glob(pattern))
    return _digest((str(path.relative_to(root)), path.read_bytes()) for path in paths)


def copy_release(root: Path, target: Path) -> None:
    """Copies what `release` names."""
    for pattern in _OF_THE_JOB:
        for path in root.glob(pattern):
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def _code(folder: Path) -> list[Path]:
    # Without its __init__.py a package looks for its modules where the path leads now, and with it, where it was found first. In thread
    # mode that folder is gone after a job's end or restart: a module that had not been imported by then was never found again.
    return sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    found = hashlib.sha256()
    for name, content in files:
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:12]
