"""Which files ONNX Runtime is asked for exact sums of; what they are worth is tested with
the files' making (`exporting/quantization/test_onnx_quantizing.py`).
"""

import shutil

import onnxruntime
import pytest

from keras_pose.modelfiles.embedded import embed, extract
from keras_pose.runtime.onnx_backend import EXACT_SUMS, OnnxBackend


def _entry(options):
    try:
        return options.get_session_config_entry(EXACT_SUMS) == "1"
    except RuntimeError:  # there is none
        return False


@pytest.fixture
def is_exact(monkeypatch):
    """A function that opens a file, and returns True where exact sums were asked for."""
    seen = []
    real = onnxruntime.InferenceSession

    def spy(path, options, **keywords):
        seen.append(_entry(options))
        return real(path, options, **keywords)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)

    def open_file(path):
        OnnxBackend(path, 1)
        return seen.pop()

    return open_file


@pytest.mark.parametrize(
    ("promise", "expected"), [({}, True), (False, True), (True, False)]
)
def test_sums_are_exact_unless_the_file_says_they_fit(
    exported, tmp_path, is_exact, promise, expected
):
    path = tmp_path / "a.onnx"
    shutil.copy(exported.paths["onnx"], path)
    document = extract(path)
    if promise != {}:
        document["sums_fit_16_bits"] = promise
    embed(path, document)
    assert is_exact(path) == expected


def test_a_promise_that_was_made_for_other_bytes_is_none(exported, tmp_path, is_exact):
    path = tmp_path / "a.onnx"
    shutil.copy(exported.paths["onnx"], path)
    embed(path, extract(path) | {"sums_fit_16_bits": True})
    # A field that readers skip (15, one byte long), so that the file still runs.
    path.write_bytes(path.read_bytes() + b"\xfa\x7f\x01a")
    assert is_exact(path)
