import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from exported_files import INPUT_HW

from keras_pose.modelfiles.flatbuffer import cut_out
from keras_pose.modelfiles.graph import count_graph_macs, weight_type
from keras_pose.modelfiles.reading import read_graph
from keras_pose.models.complexity import count_macs

# The 1x1 convolution that normalises, of 3 to 3 channels.
NORMALIZATION_MACS = INPUT_HW[0] * INPUT_HW[1] * 9


@pytest.mark.parametrize("kind", ["float32", "float16", "dynamic", "int8", "onnx"])
def test_work_in_a_file_is_that_of_the_network(exported, kind):
    # Of its two stacks, one is left: the other does not count.
    unused = exported.model.get_layer("stack1").kernel.shape
    expected = count_macs(exported.model) - np.prod(unused) * 8 * 6 + NORMALIZATION_MACS
    assert count_graph_macs(read_graph(exported.paths[kind])) == expected


@pytest.mark.parametrize(
    ("kind", "dtype"), [("float32", "float32"), ("float16", "float16"), ("int8", "int8")]
)
def test_type_of_the_weights(exported, kind, dtype):
    assert weight_type(read_graph(exported.paths[kind])) == dtype


def test_pieces_of_a_file_in_a_row_are_the_file(exported):
    path = exported.paths["int8"]
    count = len(read_graph(path).operators)
    whole = _run(path.read_bytes(), exported.crops[:1])
    first, second = cut_out(path, [range(count // 2), range(count // 2, count)])

    np.testing.assert_array_equal(_run(second, _run(first, exported.crops[:1])), whole)


def _run(content, values):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()
    interpreter.set_tensor(image["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(output["index"])


def test_other_files_have_no_graph(exported, tmp_path):
    with pytest.raises(ValueError, match=r"from \.tflite and \.onnx files, got .*\.keras"):
        read_graph(exported.paths[".keras"])
    with pytest.raises(FileNotFoundError, match=r"absent\.onnx does not exist"):
        read_graph(tmp_path / "absent.onnx")
