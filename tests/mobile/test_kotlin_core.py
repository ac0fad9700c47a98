"""The Kotlin core: it must answer parity packs as Python does. Plain JVM, no Android."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from mobile.kotlin_tools import run_java
from mobile.replays import PACK

from keras_pose.shipped import shipped_file

ROOT = Path(__file__).resolve().parents[2]

# Compiling takes a minute or two.
pytestmark = pytest.mark.very_slow


def test_the_kotlin_core_replays_the_parity_pack(kotlin_classes, replay_of_core):
    with replay_of_core("Kotlin") as num_cases:
        result = run_java(kotlin_classes, "keraspose.ParityKt", PACK)

        assert result.returncode == 0, result.stdout + result.stderr
        assert int(re.search(r"(\d+) passed", result.stdout)[1]) == num_cases


def test_the_kotlin_core_finds_what_python_found_by_the_shipped_models(
    kotlin_classes, tmp_path
):
    program = ROOT / "export" / "parity_pack.py"
    command = [sys.executable, program, "--cases", 2, "--output", tmp_path / "pack"]
    command += ["--weights", shipped_file("pose"), "--detector", shipped_file("detector")]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)

    result = run_java(kotlin_classes, "keraspose.ParityKt", tmp_path / "pack")

    assert result.returncode == 0, result.stdout + result.stderr
    # Of two people crop, input, decode and pose; of an image letterbox, input and boxes;
    # a clip. What is left out runs the files themselves: three `model` and a `video`.
    passed = int(re.search(r"(\d+) passed", result.stdout)[1])
    left_out = result.stdout.count("left out")
    assert passed >= 12
    assert left_out <= 4, result.stdout


def test_kotlin_refuses_contracts_that_do_not_fit(kotlin_classes):
    result = run_java(kotlin_classes, "keraspose.ContractsKt", shipped_file("pose"))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "contracts passed" in result.stdout
