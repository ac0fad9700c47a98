"""The Swift core: it must answer the parity packs as Python does. No Mac is needed."""

import re
import subprocess
import sys

import pytest
from mobile.colour_models import crowd_bundle
from mobile.swift_tools import IOS, TOOLCHAIN

from keras_pose.shipped import shipped_file

ROOT = IOS.parents[1]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A parity pack of the models that come with the package."""
    folder = tmp_path_factory.mktemp("packs") / "models"
    command = [
        *(sys.executable, ROOT / "export" / "parity_pack.py"),
        *("--weights", shipped_file("pose"), "--detector", shipped_file("detector")),
        *("--images", "synthetic", "--output", folder),
    ]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


# Compiling takes a minute or two.
@pytest.mark.very_slow
def test_the_swift_core_passes_its_tests_and_replays_the_parity_pack(
    swift, pack, replay_of_core
):
    with replay_of_core("Swift") as num_cases:
        result = swift("test", KERAS_POSE_PACK=str(pack))

        assert result.returncode == 0, result.stdout + result.stderr
        assert "warning:" not in result.stdout + result.stderr
        lines = re.findall(r"^parity of (.*): (\d+) passed", result.stdout, re.M)
        passed = {folder: int(count) for folder, count in lines}
        assert passed.pop("parity") == num_cases
        # Of the models' cases a dozen need no model: none may have been lost on the way.
        (of_models,) = passed.values()
        assert of_models >= 12


@pytest.mark.very_slow
@pytest.mark.parametrize("task", ["one_stage", "bottom_up"])
def test_the_swift_core_finds_everybody_in_the_pack_of_a_bundle(swift, tmp_path, task):
    pack = crowd_bundle(tmp_path, task) / "parity" / "models"
    result = swift("test", "--filter", "ParityTests", KERAS_POSE_PACK=str(pack))

    assert result.returncode == 0, result.stdout + result.stderr
    counts = r"^parity of \w+: (\d+) passed, 0 failed, (\d+) left out"
    # Letterbox, input and people; where the file is run also it, and the whole way.
    assert {("3", "2"), ("5", "0")} <= set(re.findall(counts, result.stdout, re.M))


@pytest.mark.very_slow
def test_the_types_of_the_app_fit_together(swift):
    """But for screen, camera and pictures, whose types are Apple's."""
    result = swift("typecheck")

    assert result.returncode == 0, result.stderr
    assert "LiteRTNetwork does as it says" in result.stdout
    assert "warning:" not in result.stderr


def test_the_sources_of_the_app_are_swift(swift):
    sources = sorted((IOS / "App" / "Sources").glob("*.swift"))
    result = swift("parse", *(source.relative_to(IOS) for source in sources))

    # Syntax alone: what they use of iOS is not here.
    assert result.returncode == 0, result.stderr
    assert len(sources) > 5


def test_what_is_no_swift_is_seen(swift):
    broken = TOOLCHAIN / "root" / "tmp"
    if not broken.is_dir():
        pytest.skip("looks for the folder of the toolchain that toolchain.sh fetches")
    (broken / "broken.swift").write_text("struct {")
    assert swift("parse", "/tmp/broken.swift").returncode != 0
