"""Fetches Kafka and Flink's Kafka connector with jgo, checks every jar, and lays out a FLINK_HOME.

`python3 scripts/bootstrap.py scripts.stack.jars [PLUGIN …]` does it without starting anything, and adds plugins that only some hosts need
(`s3`: a file system for checkpoints). `scripts/lock` writes the lock files anew, after the versions in pyproject.toml have been changed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

from scripts.stack import class_data
from scripts.stack.errors import StackError
from scripts.stack.paths import CONF, FLINK_HOME, JAVA_HOME, KAFKA_LIB, ROOT, SITE_PACKAGES, STATE

LOCK = Path(__file__).with_name("jars.lock")
PLUGINS_LOCK = CONF / "docker" / "plugins.lock"
_DISTRIBUTION = SITE_PACKAGES / "pyflink"
_ZSTD = "zstd-jni-"
"""The codec that neither Flink nor the connector brings along, and Kafka does: without it, the first record that a producer has compressed
with it fails the job again and again."""


def ensure() -> None:
    """Makes .millrace/kafka and .millrace/flink if they are not there, or of other versions or another layout than today's.

    Raises:
        StackError: a download failed, or a jar is not the one that jars.lock names.
    """
    stamp = STATE / "jars-installed"
    wanted = hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes() + str(_DISTRIBUTION).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    print("Fetching Kafka and Flink's Kafka connector (once, about 45 MB)", file=sys.stderr)
    jars = _download(_endpoints("jars"))
    verify(jars["kafka"] + jars["connector"], read_lock())
    _replace(KAFKA_LIB, jars["kafka"])
    _make_flink_home(jars["connector"] + [jar for jar in jars["kafka"] if jar.name.startswith(_ZSTD)])
    shutil.rmtree(class_data.FOLDER, ignore_errors=True)
    class_data.ensure_base()
    _quicken_scripts()
    stamp.write_text(wanted)


def verify(jars: list[Path], locked: dict[str, str]) -> None:
    """Raises StackError unless the jars are exactly the locked ones (file name -> SHA-256)."""
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}
    for name in sorted(found.keys() | locked.keys()):
        if found.get(name) != locked.get(name):
            raise StackError(
                f"{name}: SHA-256 is {found.get(name, 'missing')}, {LOCK.name} says {locked.get(name, 'nothing of it')}; "
                "remove .millrace/jgo and try again, and if it stays so, do not use it"
            )


def add_plugin(name: str) -> None:
    """Puts one of the plugins that pyproject.toml names into the FLINK_HOME that `ensure` has made.

    Raises:
        StackError: there is no such plugin, the download failed, or its jar is not the one that plugins.lock names.
    """
    known = _endpoints("plugins")
    if name not in known:
        raise StackError(f"no plugin {name!r}: there are {', '.join(known)}")
    found = _download({name: known[name]})[name]
    locked = read_lock(PLUGINS_LOCK)
    verify(found, {jar.name: locked.get(jar.name, "") for jar in found})
    plugins = FLINK_HOME / "plugins"
    if plugins.is_symlink():
        plugins.unlink()
        plugins.mkdir()
        for folder in (_DISTRIBUTION / "plugins").iterdir():
            (plugins / folder.name).symlink_to(folder)
    (plugins / name).mkdir(exist_ok=True)
    for jar in found:
        shutil.copy2(jar, plugins / name)


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """A lock file: file name -> SHA-256."""
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: digest for digest, name in lines}


def _endpoints(table: str) -> dict[str, str]:
    """Name -> Maven coordinates, from a table of pyproject.toml."""
    found: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["millrace"][table]
    return found


def _download(endpoints: dict[str, str]) -> dict[str, list[Path]]:
    import jgo  # noqa: PLC0415  (half a second, and needed once)

    # Without a Java in sight jgo fetches a JDK, only to sort jars into modules, and warns when it can't. We sort none.
    os.environ.setdefault("JAVA_HOME", str(JAVA_HOME))
    logging.getLogger("jgo").setLevel(logging.ERROR)
    jars = {}
    for name, endpoint in endpoints.items():
        print(f"  {endpoint}", file=sys.stderr)
        try:
            environment = jgo.build(endpoint, cache_dir=STATE / "jgo")
        except Exception as error:  # jgo and what it stands on raise many kinds, for one fact: it can't be had now
            raise StackError(f"{endpoint} could not be fetched ({error}); check the network, then try again") from error
        jars[name] = sorted(Path(environment.path).rglob("*.jar"))
    return jars


def _replace(folder: Path, jars: list[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for jar in jars:
        shutil.copy2(jar, folder)


def _make_flink_home(additions: list[Path]) -> None:
    """bin/ and opt/ are copied, since Flink's scripts resolve links to where they point; the jars are linked."""
    shutil.rmtree(FLINK_HOME, ignore_errors=True)
    for folder in ("bin", "opt", "conf"):
        shutil.copytree(_DISTRIBUTION / folder, FLINK_HOME / folder)
    for script in (FLINK_HOME / "bin").glob("*.sh"):
        script.chmod(0o755)
    (FLINK_HOME / "bin" / "flink").chmod(0o755)
    (FLINK_HOME / "plugins").symlink_to(_DISTRIBUTION / "plugins")
    (FLINK_HOME / "lib").mkdir()
    # flink-python in lib/, so that thread mode's native library is loaded once per TaskManager (see flink-conf/config.yaml).
    for jar in (*(_DISTRIBUTION / "lib").glob("*.jar"), *(_DISTRIBUTION / "opt").glob("flink-python-*.jar")):
        (FLINK_HOME / "lib" / jar.name).symlink_to(jar)
    for jar in additions:
        shutil.copy2(jar, FLINK_HOME / "lib")


def _quicken_scripts() -> None:
    """Flink's scripts start a JVM to read the configuration, up to three times each: let it be one that starts fast.

    Raises:
        StackError: this Flink starts it in another way.
    """
    script = FLINK_HOME / "bin" / "bash-java-utils.sh"
    before, text = '"${JAVA_RUN}" -classpath', script.read_text()
    if text.count(before) != 1:
        raise StackError(f"{script} does not start one JVM by {before}")
    (dist,) = (FLINK_HOME / "lib").glob("flink-dist-*.jar")
    options = class_data.of_scripts(f"{script.with_name('bash-java-utils.jar')}:{dist}", FLINK_HOME / "conf")
    script.write_text(text.replace(before, f'"${{JAVA_RUN}}" {shlex.join(options)} -classpath'))


def write_locks() -> None:
    """Writes jars.lock and plugins.lock anew from what pyproject.toml names."""
    for path, table in ((LOCK, "jars"), (PLUGINS_LOCK, "plugins")):
        jars = [jar for found in _download(_endpoints(table)).values() for jar in found]
        lines = [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}" for jar in jars]
        path.write_text("\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n")


if __name__ == "__main__":
    try:
        ensure()
        for plugin in sys.argv[1:]:
            add_plugin(plugin)
    except StackError as error:
        sys.exit(f"millrace: {error}")
