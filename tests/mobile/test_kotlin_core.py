"""The Kotlin core: it must answer the parity pack as Python does. Plain JVM, no Android."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

KOTLIN = Path(__file__).resolve().parents[2] / "mobile_demo" / "kotlin"
PACK = KOTLIN.parent / "parity"

# Compiling takes a minute or two.
pytestmark = pytest.mark.very_slow


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """The compiled core and its tests, with Kotlin's runtime: a .jar."""
    for program in ("kotlinc", "java"):
        if shutil.which(program) is None:
            pytest.skip(f"needs Kotlin 1.3 or later: the program `{program}`")
    jar = tmp_path_factory.mktemp("kotlin") / "core.jar"
    command = ["kotlinc", "src", "test", "-include-runtime", "-d", str(jar)]
    result = subprocess.run(command, cwd=KOTLIN, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "warning:" not in result.stderr.replace("VM warning:", ""), result.stderr
    return jar


def run(core, main, *arguments):
    classpath = f"{core}:{standard_library()}"
    command = ["java", "-cp", classpath, f"keraspose.{main}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def standard_library():
    """Returns where Debian keeps it, whose compiler includes none in a .jar."""
    found = sorted(Path("/usr/share/java").glob("kotlin-stdlib-[0-9]*.jar"))
    return found[0] if found else ""


def test_the_kotlin_core_replays_the_parity_pack(core):
    result = run(core, "ParityKt", PACK)

    assert result.returncode == 0, result.stdout + result.stderr
    # The pack holds some sixty cases: none of them may have been lost on the way.
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) > 60


def test_kotlin_refuses_contracts_that_do_not_fit(core):
    result = run(core, "ContractsKt")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "contracts passed" in result.stdout
