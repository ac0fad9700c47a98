"""Files of networks with a head for visibility: two outputs, found by name."""

import dataclasses

import keras
import numpy as np
import pytest
from exported_files import export_onnx, export_tflite, smooth_crops

from keras_pose.contracts.certainty import ScoreCalibration
from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.formats.embedding import replace_contract
from keras_pose.parity.model_cases import Person, person_cases
from keras_pose.parity.model_file import ModelFile
from keras_pose.runtime import PoseModel
from keras_pose.runtime.loading import load_model
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import contract_of

pytestmark = pytest.mark.slow
CROPS = smooth_crops(12, (64, 48))


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    model = create_model("testing_pose", visibility=True)
    # Untrained heads say next to nothing, which integers could not hold.
    layer = model.get_layer("visibility-logits")
    kernel, bias = layer.get_weights()
    rng = np.random.default_rng(0)
    layer.set_weights([kernel * 10, rng.normal(size=bias.shape)])
    return model, contract_of(model)


@pytest.mark.parametrize(
    ("suffix", "export", "with_decode"),
    [(".tflite", export_tflite, True), (".onnx", export_onnx, False)],
)
def test_int8_files_say_what_the_network_says(
    network, tmp_path, suffix, export, with_decode
):
    model, contract = network
    path = tmp_path / f"pose{suffix}"

    export(model, contract, path, CROPS, quantization="int8", with_decode=with_decode)

    written = load_model(path)
    _, found = written.predict_all(CROPS)
    _, expected = PoseModel.from_keras(model, contract).predict_all(CROPS)
    assert np.abs(found - expected).max() < 0.1 * expected.std()
    assert written.contract.visibility.output.name == "visibility"
    assert written.contract.codec.kind == ("decoded" if with_decode else "dark")
    calibrated = ScoreCalibration(5.0, -2.0)
    changed = dataclasses.replace(written.contract, score_calibration=calibrated)
    replace_contract(path, changed)
    assert read_contract(path).score_calibration == calibrated
    np.testing.assert_array_equal(load_model(path).predict_all(CROPS)[1], found)
    person = Person(CROPS[0], np.array([8.0, 6, 30, 40]))
    cases = {case.kind: case for case in person_cases(ModelFile(path), [person])}
    shares = cases["certainty"].expected["visibility"]
    assert shares.shape == (17, 3)
    rated = cases["certainty"].expected["keypoint_scores"]
    scores = cases["decode"].expected["keypoint_scores"]
    np.testing.assert_allclose(rated, calibrated(scores), rtol=1e-6)
