"""`.tflite` files that LiteRT opens but cannot run: the file is named, nothing crashes."""

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from keras_pose.runtime.loading import open_backend

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gathering(tmp_path_factory):
    """A file that looks numbers up by its input, and fails for those that are not there."""

    @tf.function(input_signature=[tf.TensorSpec((1,), tf.int32, name="image")])
    def look_up(image):
        return {"found": tf.gather(tf.constant([1.0, 2.0, 3.0]), image) + 1.0}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [look_up.get_concrete_function()]
    )
    path = tmp_path_factory.mktemp("litert") / "gather.tflite"
    path.write_bytes(converter.convert())
    return path


def test_an_op_that_fails_names_the_file(gathering):
    backend = open_backend(gathering, 1)
    assert backend.run(np.array([2], np.int32)).tolist() == [4.0]
    with pytest.raises(ValueError, match=r"gather\.tflite cannot be run by LiteRT"):
        backend.run(np.array([99], np.int32))


def test_what_cannot_be_prepared_names_the_file(gathering, tmp_path):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(gathering.read_bytes()))
    (graph,) = model.subgraphs
    _, indices = graph.operators[0].inputs
    graph.tensors[indices].type = schema.TensorType.FLOAT32  # which are no indices
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "mixed.tflite"
    path.write_bytes(builder.Output())
    with pytest.raises(ValueError, match=r"mixed\.tflite is not a \.tflite file"):
        open_backend(path, 1)
