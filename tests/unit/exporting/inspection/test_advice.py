import pytest

from keras_pose.exporting.inspection.advice import Described, advise, describe_files
from keras_pose.exporting.inspection.benchmark import Benchmark, BenchmarkRow

PEAKS = {"float32 x 1 threads": 5e10, "int8 x 1 threads": 4e10}
FILES = {
    "f.tflite": Described("pose 64x48", "float32"),
    "i.tflite": Described("pose 64x48", "int8"),
    "i.onnx": Described("pose 64x48", "int8"),
}


def row(file, runtime, milliseconds, num_threads=1):
    return BenchmarkRow(
        file, runtime, 1, num_threads, milliseconds, 0.0, 1.0, None, None, None, 1.0, 1
    )


def lines_of(*rows, instructions="AVX2, no dot product of bytes"):
    return advise(Benchmark(3, list(rows), PEAKS, instructions=instructions), FILES)


def test_the_fastest_way_is_named_beside_float32():
    (line,) = lines_of(
        row("f.tflite", "litert", 10.0),
        row("i.tflite", "litert", 5.0),
        row("i.onnx", "openvino", 4.0),
        row("i.onnx", "onnxruntime", 4.5),
        row("f.tflite", "litert", 1.0, num_threads=2),
    )
    assert line == (
        "Fastest here for pose 64x48: i.onnx in openvino, 4.00 ms, 0.40 of float32's time "
        "in litert (AVX2, no dot product of bytes)."
    )


@pytest.mark.parametrize(
    ("instructions", "reason"),
    [
        ("AVX2, no dot product of bytes", "XNNPACK widens bytes to 16 bits"),
        ("AVX2, AVX-VNNI", "its time goes elsewhere; --profile says where"),
    ],
)
def test_int8_that_does_not_pay_is_told_with_the_reason(instructions, reason):
    rows = row("f.tflite", "litert", 10.0), row("i.tflite", "litert", 10.6)
    fastest, line = lines_of(*rows, instructions=instructions)
    assert fastest.startswith("Fastest here for pose 64x48: f.tflite in litert, 10.00 ms (")
    assert line.startswith("i.tflite takes 1.06 of float32's time in litert: ")
    assert reason in line
    assert "products of large matrices are 0.80 times as fast as float ones" in line


def test_files_without_contracts_are_compared_with_themselves_only():
    assert lines_of(row("a.tflite", "litert", 1.0), row("b.tflite", "litert", 2.0)) == []


def test_what_a_file_is_stands_in_its_contract(exported, tmp_path):
    (tmp_path / "bare.tflite").write_bytes(b"")
    paths = [str(exported.paths["int8"]), str(tmp_path / "bare.tflite")]
    rows = [row(path, "litert", 1.0) for path in paths]
    found = describe_files(Benchmark(3, rows, PEAKS))
    assert found == {paths[0]: Described("tiny 32x24", "int8")}
