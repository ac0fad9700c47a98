"""The JavaScript core, by its own tests: it must answer the parity pack as Python does."""

import os
import re
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "mobile_demo" / "web"


def run(*command, **environment):
    return subprocess.run(
        command,
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


def num_passed(result):
    assert result.returncode == 0, result.stdout
    return int(re.search(r"^# pass (\d+)", result.stdout, re.MULTILINE)[1])


def run_tests(node, *files, **environment):
    return run(node, "--test", "--test-reporter=tap", *files, **environment)


def test_the_javascript_core_replays_the_parity_pack(node, replay_of_core):
    with replay_of_core("JavaScript") as num_cases:
        assert num_passed(run_tests(node, "tests/parity.test.js")) == num_cases


def test_the_javascript_core_passes_its_own_tests(node):
    files = (WEB / "tests").glob("*.test.js")
    others = [str(file) for file in files if file.name != "parity.test.js"]

    assert num_passed(run_tests(node, *others)) > 10


def test_the_javascript_core_replays_the_pack_of_the_shipped_models(node, tmp_path):
    from keras_pose.parity import write_pack
    from keras_pose.parity.model_cases import model_cases
    from keras_pose.parity.model_file import ModelFile
    from keras_pose.parity.model_pictures import drawn_people
    from keras_pose.shipped import KINDS, shipped_file

    try:
        models = {kind: ModelFile(shipped_file(kind, "int8")) for kind in KINDS}
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(f"needs shipped models: {error}")
    cases = model_cases(models, drawn_people(2))
    described = {kind: file.to_dict() for kind, file in models.items()}
    write_pack(tmp_path / "pack", cases, described)

    result = run_tests(
        node, "tests/parity.test.js", KERAS_POSE_PARITY=str(tmp_path / "pack")
    )

    # Crops, inputs, decoding, letterbox, boxes, clip; those that run a file need a runtime.
    num_replayed = sum(not case.needs for case in cases)
    assert num_passed(result) == num_replayed > 8


@pytest.mark.parametrize("project", [".", "tests", "app", "worker"])
def test_the_javascript_is_of_the_types_it_says(node, project):
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("needs TypeScript: run `npm ci` in mobile_demo/web")

    result = run(node, compiler, "-p", project)

    assert result.returncode == 0, result.stdout
