"""Kotlin's compiler and Android's tools: installed, or fetched by toolchain.sh."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ANDROID = Path(__file__).resolve().parents[2] / "mobile_demo" / "android"
KOTLIN = ANDROID.parent / "kotlin"
APP = ANDROID / "app" / "src" / "main"
FLAVOURS = ("bundled", "play")
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


def compile_jar(jar: Path, *sources: Path, is_new: bool = True, core=None) -> str:
    """Compiles Kotlin for the JVM, or skips; returns the class path to run it.

    Args:
        jar: file to write.
        sources: files and folders.
        is_new: whether to compile; if not, the file is there.
        core: function that returns a .jar to compile against, called if Kotlin is there.
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
    # Debian's compiler includes no library in a .jar; others do, and have none there.
    classpath = [library] if core is None else [core(), library]
    if is_new:
        against = [] if core is None else ["-cp", classpath[0]]
        command = [compiler, *sources, *against, "-include-runtime", "-d", jar]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "warning:" not in result.stderr.replace("VM warning:", ""), result.stderr
    return ":".join(map(str, [jar, *classpath]))


def run_java(classpath: str, main: str, *arguments, timeout: float = 600, cwd=None):
    """Runs a class; returns what `subprocess.run` does."""
    command = ["java", "-cp", classpath, main, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd)


def load_build_library():
    """Returns the module mobile_demo/kotlin/build_library.py."""
    path = KOTLIN / "build_library.py"
    spec = importlib.util.spec_from_file_location("build_library", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def library_jar(folder: Path, is_new: bool) -> Path:
    """Builds the core as a library, if it is to be new; returns the .jar."""
    build_library = load_build_library()
    if is_new:
        return build_library.build(folder)
    group, name, version = build_library.coordinates()
    return folder / group / name / version / f"{name}-{version}.jar"


def compile_all(folder: Path, is_new: bool) -> str:
    """Compiles the core as a library, and against it the app's logic, the tests of both
    and what the READMEs advise; returns the class path.
    """
    sources = [KOTLIN / part for part in ("parity", "test")]
    sources += [ANDROID / "logic" / part for part in ("src", "test")]
    # The advice to those who build apps of their own must compile, too.
    sources += [APP / "kotlin" / "LiteRt.kt", runtime_of("bundled"), ANDROID / "stub"]
    sources.append(android_of(folder))
    sources.append(program_of(ANDROID.parent / "README.md", folder / "Guide.kt"))
    sources.append(program_of(KOTLIN / "README.md", folder / "Example.kt"))
    return compile_jar(
        folder / "all.jar",
        *sources,
        is_new=is_new,
        core=lambda: library_jar(folder / "library", is_new),
    )


def runtime_of(flavour: str) -> Path:
    """Returns the source file in which a flavour of the app starts LiteRT."""
    return APP.parent / flavour / "kotlin" / "LiteRtRuntime.kt"


def android_of(folder: Path) -> Path:
    """Writes what LiteRT's adapter uses of Android, which a plain JVM lacks."""
    path = folder / "Context.kt"
    path.write_text(
        "package android.content\n\n"
        "abstract class Context { abstract val cacheDir: java.io.File }\n"
    )
    return path


def program_of(readme: Path, path: Path) -> Path:
    """Writes the Kotlin of a README to a file, which it returns."""
    text = readme.read_text()
    (block,) = re.findall(r"^```kotlin\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    path.write_text(block)
    return path
