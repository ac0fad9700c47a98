"""Files in OpenVINO: the outputs, names and scales that their usual runtimes give."""

import numpy as np
import pytest
from says import Says

from keras_pose.exporting.comparison import relative_error
from keras_pose.runtime import load_model, openvino_backend
from keras_pose.runtime.loading import open_backend, runtime_of


@pytest.mark.parametrize("kind", ["onnx", "float32"])
def test_files_give_in_openvino_what_they_give_elsewhere(exported, kind):
    pytest.importorskip("openvino", reason="pip install 'keras_pose[openvino]'")
    path = exported.paths[kind]
    usual, other = open_backend(path, 1), open_backend(path, 1, "openvino")
    assert (other.input, other.outputs) == (usual.input, usual.outputs)

    model = load_model(path, num_threads=1, runtime="openvino")
    heatmaps = model.predict(exported.crops)
    assert relative_error(heatmaps, exported.heatmaps(exported.crops)) < 1e-4


def test_damaged_files_are_named(tmp_path):
    pytest.importorskip("openvino", reason="pip install 'keras_pose[openvino]'")
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"this is no graph")
    with Says(
        "damaged.onnx is damaged, or needs ops that this version of OpenVINO has not",
        do="Export the file again, or run it in its usual runtime.",
    ).refuses():
        open_backend(path, 1, "openvino")


def test_sums_that_would_be_cut_off_are_refused(exported, monkeypatch):
    pytest.importorskip("openvino", reason="pip install 'keras_pose[openvino]'")
    monkeypatch.setattr(openvino_backend, "saturates", lambda: True)
    with Says(
        "has integer weights that fill 8 bits, whose products OpenVINO adds in 16 bits",
        do="Run the file in litert, or export int8 as .onnx.",
    ).refuses():
        open_backend(exported.paths["int8"], 1, "openvino")


def test_a_runtime_is_asked_for_its_own_files_only():
    assert runtime_of(".onnx") == "onnxruntime"
    assert runtime_of(".tflite", "openvino") == "openvino"
    with Says(
        "A .tflite file is run by litert or openvino, not by runtime='onnxruntime'",
        do="Name a runtime that runs such files, or none.",
    ).refuses():
        runtime_of(".tflite", "onnxruntime")


def test_outputs_stay_when_the_next_picture_runs(exported):
    pytest.importorskip("openvino", reason="pip install 'keras_pose[openvino]'")
    backend = open_backend(exported.paths["onnx"], 1, "openvino")
    first = backend.run(exported.crops[:1])
    kept = first.copy()
    backend.run(exported.crops[1:2])
    np.testing.assert_array_equal(first, kept)
