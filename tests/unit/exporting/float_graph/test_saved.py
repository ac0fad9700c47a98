"""Large graphs are converted in a process of their own, to the same file."""

import pytest
import tensorflow as tf

from keras_pose.exporting.float_graph import saved


def _serve(operator):
    spec = tf.TensorSpec((1, 4), tf.float32, name="x")
    return tf.function(lambda x: {"y": operator(x)}, input_signature=[spec])


@pytest.mark.slow
def test_a_process_of_its_own_gives_the_same_file(monkeypatch):
    serve = _serve(lambda x: tf.nn.relu(x) + 1)
    here = saved.converted(serve)
    monkeypatch.setattr(saved, "LARGE_BYTES", 0)
    assert saved.converted(serve) == here


@pytest.mark.slow
@pytest.mark.very_slow
def test_what_the_converter_refuses_there_is_said_here(monkeypatch):
    serve = _serve(lambda x: tf.math.betainc(x, x, x))
    monkeypatch.setattr(saved, "LARGE_BYTES", 0)
    with pytest.raises(saved.ConverterError, match=r"tf\.Betainc.* op is neither"):
        saved.converted(serve)
