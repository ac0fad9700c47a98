"""What the tests themselves stand on: shared work, and kinds that the docs explain."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kinds import KINDS, kind_of
from shared_work import shared_folder

ROOT = Path(__file__).resolve().parents[2]


def test_work_is_done_once(tmp_path_factory):
    with shared_folder(tmp_path_factory, "once") as (folder, is_new):
        assert is_new
        (folder / "result").touch()
    with shared_folder(tmp_path_factory, "once") as (again, is_new):
        assert not is_new
        assert (again / "result").exists()


def test_work_that_failed_is_done_again(tmp_path_factory):
    with (
        pytest.raises(ValueError, match="half way"),
        shared_folder(tmp_path_factory, "failed"),
    ):
        raise ValueError("half way")
    with shared_folder(tmp_path_factory, "failed") as (_, is_new):
        assert is_new


def test_every_kind_of_test_is_explained():
    text = (ROOT / "docs" / "testing.md").read_text()
    explained = re.findall(r"^\| (\w+) \|", text, re.MULTILINE)
    assert sorted(explained) == sorted(["kind", *(kind for kind, _ in KINDS)])


@pytest.mark.parametrize(
    ("nodeid", "kind"),
    [
        ("tests/mobile/test_arm.py::test_what_is_emulated_is_arm", "apps"),
        ("tests/unit/trainer/test_fit.py::test_an_interrupted_run_resumed", "kill"),
        ("tests/unit/trainer/test_fit.py::test_a_run_leaves_all_its_files", "training"),
        ("tests/unit/models/test_zoo_models.py::test_model[hrnet_w32]", "zoo"),
        ("tests/unit/test_boxes.py::test_boxes", "unit"),
    ],
)
def test_tests_are_of_a_kind(nodeid, kind):
    assert kind_of(nodeid) == kind


TIMED = """
import subprocess, sys, time, pytest

BURN = "import time\\nwhile time.process_time() < 0.2: pass"

@pytest.fixture(scope="module")
def costly():
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass

def test_first(costly):
    time.sleep(0.3)

def test_second(costly):
    subprocess.run([sys.executable, "-c", BURN])
"""


def test_cpu_seconds_are_told_of_tests_fixtures_and_their_processes(tmp_path):
    (tmp_path / "test_timed.py").write_text(TIMED)
    command = [sys.executable, "-m", "pytest", "-p", "kinds", "--kinds", "--kinds-json"]
    result = subprocess.run(
        [*command, "found.json", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    first, second = found["tests"].values()
    # Sleeping costs nothing; a fixture counts where it was made, a process where it ended.
    assert 0.15 <= first["setup"] < 2
    assert first["call"] < 0.1
    assert second["setup"] < 0.1
    assert second["call"] >= 0.15
    assert found["fixtures"] == {
        "test_timed.py::costly": pytest.approx(first["setup"], abs=0.1)
    }
    assert re.search(r"unit +2 tests", result.stdout)
    assert re.search(r"s  test_timed.py::test_second", result.stdout)
