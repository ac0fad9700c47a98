"""Kotlin's compiler and Android's tools: installed, or fetched by toolchain.sh."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ANDROID = Path(__file__).resolve().parents[2] / "mobile_demo" / "android"
APP = ANDROID / "app" / "src" / "main"
# Path that the unpacked compiler is given, and where Debian's installed one keeps it.
INSTALLED = "/usr/share/java/kotlin-stdlib.jar"


def toolchain() -> Path:
    """Returns the folder that toolchain.sh fills, whether it is there or not."""
    default = ANDROID / "build" / "toolchain"
    return Path(os.environ.get("KERAS_POSE_ANDROID_TOOLCHAIN", default))


def require_toolchain() -> Path:
    """Returns the folder; skips, naming what is missing."""
    if shutil.which("java") is None:
        pytest.skip("needs Java 17: the program `java`")
    if not (toolchain() / "android.jar").exists():
        pytest.skip(
            "needs Android's tools: run mobile_demo/android/toolchain.sh (no "
            f"{toolchain() / 'android.jar'})"
        )
    return toolchain()


def compile_jar(jar: Path, *sources: Path, is_new: bool = True) -> str:
    """Compiles Kotlin for the JVM, or skips; returns the class path to run it.

    Args:
        jar: file to write.
        sources: files and folders.
        is_new: whether to compile; if not, the file is there.
    """
    if shutil.which("java") is None:
        pytest.skip("needs Java 17: the program `java`")
    if (toolchain() / "android.jar").exists():
        compiler, library = (
            toolchain() / "bin" / "kotlinc",
            toolchain() / "kotlin-stdlib.jar",
        )
    else:
        found, library = shutil.which("kotlinc"), Path(INSTALLED)
        if found is None:
            pytest.skip(
                "needs Kotlin 1.3 or later: the program `kotlinc`, or "
                "mobile_demo/android/toolchain.sh"
            )
        compiler = Path(found)
    if is_new:
        command = [compiler, *sources, "-include-runtime", "-d", jar]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "warning:" not in result.stderr.replace("VM warning:", ""), result.stderr
    # Debian's compiler includes no library in a .jar; others do, and have none there.
    return f"{jar}:{library}"


def run_java(classpath: str, main: str, *arguments, timeout: float = 600):
    """Runs a class; returns what `subprocess.run` does."""
    command = ["java", "-cp", classpath, main, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def compile_all(folder: Path, is_new: bool) -> str:
    """Compiles the core, the app's logic and the tests of both; returns the class path."""
    core = ANDROID.parent / "kotlin"
    sources = [core / part for part in ("src", "parity", "test")]
    sources += [ANDROID / "logic" / part for part in ("src", "test")]
    # The advice to those who build apps of their own must compile, too.
    sources += [APP / "kotlin" / "LiteRtNetwork.kt", ANDROID / "stub"]
    guide = embedding_guide(folder)
    return compile_jar(folder / "all.jar", *sources, guide, is_new=is_new)


def embedding_guide(folder: Path) -> Path:
    """Returns a file with the Kotlin of mobile_demo/README.md."""
    text = (ANDROID.parent / "README.md").read_text()
    (block,) = re.findall(r"^```kotlin\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    path = folder / "Guide.kt"
    path.write_text(block)
    return path
