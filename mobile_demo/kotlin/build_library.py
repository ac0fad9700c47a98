"""Builds the Kotlin core as a library: a folder that Gradle and Maven take it from.

    python mobile_demo/kotlin/build_library.py                 # into build, beside it
    python mobile_demo/kotlin/build_library.py --output DIR

Needs `kotlinc` (Kotlin 1.3 or later; mobile_demo/android/toolchain.sh fetches one) and
Java. In DIR are the classes (for Java 8 and later, so for Android, too), the sources and
the POM, as Maven lays them out: `maven { url = uri("DIR") }` and the coordinates that are
printed are all that a build needs. build.gradle.kts does the same by Gradle.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors

SOURCES = HERE / "src"
# Kotlin of Debian 12, which says 1.3-SNAPSHOT of itself.
OLDEST_KOTLIN = "1.3.31"
# Zip entries of the same sources are the same, whenever they are written.
EPOCH = (1980, 1, 1, 0, 0, 0)
POM = "{http://maven.apache.org/POM/4.0.0}"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", default=HERE / "build",
        help="Maven repository to write to (default: build, beside this)")  # fmt: skip
    return parser.parse_args(argv)


def find_compiler() -> str:
    """Returns the path of `kotlinc`: the one in PATH, or the fetched one.

    Raises:
        FileNotFoundError: where there is none, or no Java.
    """
    if shutil.which("java") is None:
        raise FileNotFoundError("kotlinc needs Java: there is no program `java`.")
    toolchain = os.environ.get("KERAS_POSE_ANDROID_TOOLCHAIN")
    folder = Path(toolchain) if toolchain else HERE.parent / "android/build/toolchain"
    found = shutil.which("kotlinc") or shutil.which("kotlinc", path=folder / "bin")
    if found is None:
        raise FileNotFoundError(
            "There is no program `kotlinc`. Install Kotlin 1.3 or later, or run "
            "mobile_demo/android/toolchain.sh."
        )
    return found


def run(command: list) -> str:
    """Runs a program; returns all that it printed.

    Raises:
        ChildProcessError: with what it printed, where it fails.
    """
    result = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        raise ChildProcessError(f"{Path(command[0]).name} failed: {result.stdout}")
    return result.stdout


def kotlin_version(compiler: str) -> str:
    """Returns the version of the library that compiled classes need."""
    found = re.search(r"kotlinc-jvm (\d+\.\d+\.\d+)", run([compiler, "-version"]))
    return found[1] if found else OLDEST_KOTLIN


def write_archive(path: Path, folder: Path) -> None:
    """Writes a folder's files, and the licence, into a .jar."""
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*")}
    files["META-INF/LICENSE"] = ROOT / "LICENSE"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            if files[name].is_file():
                info = zipfile.ZipInfo(name, EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, files[name].read_bytes())


def coordinates() -> tuple[str, str, str]:
    """Returns the group, name and version that pom.xml says."""
    project = ElementTree.parse(HERE / "pom.xml").getroot()
    group, name, version = (
        project.findtext(f"{POM}{key}") for key in ("groupId", "artifactId", "version")
    )
    return group, name, version


def build(output: Path) -> Path:
    """Writes the library into a Maven repository; returns the .jar of its classes."""
    group, name, version = coordinates()
    compiler = find_compiler()
    folder = output.joinpath(*group.split("."), name, version)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{name}-{version}"
    with tempfile.TemporaryDirectory() as classes:
        options = ["-jvm-target", "1.8", "-module-name", name]
        run([compiler, *options, "-d", classes, SOURCES])
        write_archive(Path(f"{stem}.jar"), Path(classes))
    write_archive(Path(f"{stem}-sources.jar"), SOURCES)
    pom = (HERE / "pom.xml").read_text()
    Path(f"{stem}.pom").write_text(pom.replace("KOTLIN", kotlin_version(compiler)))
    for file in [Path(f"{stem}{end}") for end in (".jar", "-sources.jar", ".pom")]:
        checksum = hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
        Path(f"{file}.sha1").write_text(checksum)
    return Path(f"{stem}.jar")


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    jar = build(args.output)
    print(f"{':'.join(coordinates())}, {jar.stat().st_size} bytes, in {args.output}")


if __name__ == "__main__":
    main()
