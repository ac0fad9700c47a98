"""The shipped models on 64-bit ARM, as phones have it: emulated, and equal bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose.parity.model_pictures import drawn_people
from keras_pose.shipped import KINDS, shipped_file

ARM = Path(__file__).resolve().parents[2] / "mobile_demo" / "arm"
RUN_MODEL = ARM / "run_model.py"

pytestmark = pytest.mark.very_slow


@pytest.fixture(scope="module")
def arm_python():
    """The command that runs Python of arm64, emulated; without it, tests are skipped."""
    folder = Path(os.environ.get("KERAS_POSE_ARM", ARM / ".toolchain"))
    if not (folder / "complete").is_file():
        pytest.skip(f"needs an emulator and Python for arm64: {ARM / 'toolchain.sh'}")
    emulator = folder / "emulator" / "qemu-aarch64"
    python = folder / "arm64" / "usr" / "bin" / "python3.11"
    # A Cortex-A76 has the dot products of 8-bit integers that int8 models are run by.
    return (
        [str(emulator), "-cpu", "cortex-a76", "-L", str(folder / "arm64"), str(python)],
        {"PYTHONPATH": str(folder / "packages"), "PYTHONHOME": str(folder / "arm64/usr")},
    )


def run(python, environment, model, inputs, outputs):
    command = [*python, str(RUN_MODEL), str(model), str(inputs), str(outputs)]
    environment = os.environ | environment
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    with np.load(outputs) as arrays:
        return dict(arrays)


def pictures(input_hw):
    """Returns a drawn person and noise, which leaves no part of a network at rest."""
    height, width = input_hw
    person = drawn_people(1)[0].image
    rows = np.linspace(0, person.shape[0] - 1, height).astype(int)
    columns = np.linspace(0, person.shape[1] - 1, width).astype(int)
    noise = np.random.default_rng(seed=0).integers(0, 256, (height, width, 3))
    return np.stack([person[rows][:, columns], noise.astype(np.uint8)])[:, None]


def outputs_here_and_there(arm_python, model, input_hw, tmp_path):
    """Yields name, x86's and ARM's values of each output."""
    np.save(tmp_path / "inputs.npy", pictures(input_hw))
    here = run([sys.executable], {}, model, tmp_path / "inputs.npy", tmp_path / "here.npz")
    there = run(*arm_python, model, tmp_path / "inputs.npy", tmp_path / "there.npz")
    assert here.keys() == there.keys()
    for name, values in here.items():
        assert len(np.unique(values)) > 10, name  # else equality says nothing
        yield name, values, there[name]


def test_what_is_emulated_is_arm(arm_python):
    command, environment = arm_python
    program = "import platform; print(platform.machine())"
    result = subprocess.run(
        [*command, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert result.stdout.strip() == "aarch64", result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_shipped_int8_model_gives_the_same_bits_on_arm(arm_python, kind, tmp_path):
    from keras_pose.contracts.detector import read_model_contract

    model = shipped_file(kind, "int8")
    input_hw = read_model_contract(model).input.shape[1:3]
    for name, here, there in outputs_here_and_there(arm_python, model, input_hw, tmp_path):
        np.testing.assert_array_equal(there, here, err_msg=name)


def test_keypoints_decoded_in_the_graph_are_the_same_on_arm(arm_python, tmp_path):
    from mobile.colour_models import POSE_HW, export_pose

    model = export_pose(tmp_path / "pose.tflite", "int8", with_decode=True)

    ((_, here, there),) = outputs_here_and_there(arm_python, model, POSE_HW, tmp_path)
    # Scores are integers of the network, made real. DARK's logarithms are floats, whose
    # last digits are each processor's own (seen: 0.00003 pixel).
    np.testing.assert_array_equal(there[..., 2], here[..., 2])
    np.testing.assert_allclose(there[..., :2], here[..., :2], atol=1e-3)
