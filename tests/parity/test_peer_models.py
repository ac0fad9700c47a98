"""Networks that others published, rebuilt in Keras, compute what their own files do."""

import numpy as np
import pytest
from ir_runner import run_ir

from keras_pose.weights.importer import import_weights

IR_NAME = "tinypose_256x192_fp16.xml"
# Both sum up in float32, in other orders; a kernel in the wrong place gives 1 and more.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def ir_path(shared_data_dir):
    path = shared_data_dir / "peers" / IR_NAME
    if not path.is_file():
        pytest.skip(f"the peer's network is absent: no file {path}")
    return path


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).standard_normal((1, 256, 192, 3)).astype("float32")


@pytest.fixture(scope="module")
def heatmaps(ir_path, image):
    model = import_weights("tiny_pose", ir_path)
    return np.asarray(model(image, training=False)).transpose(0, 3, 1, 2)


@pytest.mark.slow
@pytest.mark.very_slow
def test_tiny_pose_equals_its_ir(ir_path, image, heatmaps):
    expected = run_ir(ir_path, image.transpose(0, 3, 1, 2))
    difference = np.abs(heatmaps - expected).max()
    print(f"parity: {IR_NAME} {difference / expected.std():.1e}")
    assert difference <= TOLERANCE * expected.std()


@pytest.mark.slow
def test_tiny_pose_equals_its_ir_in_openvino(ir_path, image, heatmaps):
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(ir_path), "CPU", options)
    outputs = compiled([image.transpose(0, 3, 1, 2)])
    (expected,) = (outputs[x] for x in compiled.outputs if outputs[x].ndim == 4)
    assert np.abs(heatmaps - expected).max() <= TOLERANCE * expected.std()
