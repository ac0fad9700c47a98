import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.flatbuffer import custom_ops, float_ops, op_counts
from keras_pose.modelfiles.tflite_model import TFLiteModel


def test_ops_of_a_float_file_are_counted(exported):
    counts = op_counts(exported.paths["float32"])
    assert counts["CONV_2D"] == 4
    assert counts["CAST"] == 1
    assert float_ops(exported.paths["float32"]) == counts


def test_select_tf_op_is_told_from_builtin_ones(exported, tmp_path):
    content = exported.paths["float32"].read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = "FlexErfinv"
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "flex.tflite"
    path.write_bytes(builder.Output())

    assert custom_ops(path) == ["FlexErfinv"]


def test_content_that_nothing_reads_is_not_packed(exported):
    """int16x8 files had held the float kernels beside those that were rounded."""
    model = TFLiteModel.read(exported.paths["float32"].read_bytes())
    packed = len(model.to_bytes())
    model.add_buffer(np.zeros(10_000, np.uint8))
    assert len(model.to_bytes()) < packed + 100
