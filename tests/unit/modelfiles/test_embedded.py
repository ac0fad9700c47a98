"""Text inside model files: the files run as before, and nobody's bytes are believed."""

import json
import struct
import zipfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from keras_pose.modelfiles.embedded import BINDING, HASH, embed, extract, onnx, tflite
from keras_pose.modelfiles.embedded.flat import ALIGNMENT, Floats, Number, Reader, write
from keras_pose.modelfiles.embedded.tflite import Description, TensorNote

DOCUMENT = {"model": "tiny", "names": ["nose", "œil"]}
NOTE = Description(
    "tiny",
    "Finds noses.",
    "1",
    TensorNote("image", "RGB", (0.0,), (1.0,)),
    (TensorNote("heatmaps", "maps", labels=("nose", "left_hip", "right_hip")),),
)


def small_tflite() -> bytes:
    """A model with a version, two buffers and an entry of metadata, and nothing to run."""
    entry = {0: "min_runtime_version", 1: Number(1)}
    model = {0: Number(3), 3: "small", 4: [{}, {0: b"1.14.0"}], 6: [entry], 2: [{}]}
    return write(model, b"TFL3")[0]


def small_onnx() -> bytes:
    """ir_version (a number), producer_name (a string), and a float of fixed size."""
    return b"\x08\x07" + b"\x12\x04test" + b"\xfd\x01" + struct.pack("<f", 1.5)


@pytest.fixture(params=[".tflite", ".onnx"])
def small_file(request, tmp_path):
    path = tmp_path / f"small{request.param}"
    path.write_bytes({".tflite": small_tflite, ".onnx": small_onnx}[request.param]())
    return path


def test_what_is_embedded_is_extracted(small_file):
    assert extract(small_file) is None
    embed(small_file, DOCUMENT)

    found = extract(small_file)
    assert {key: found[key] for key in DOCUMENT} == DOCUMENT
    assert len(found[BINDING][HASH]) == 64


def test_the_old_bytes_are_all_there(small_file):
    before = small_file.read_bytes()
    embed(small_file, DOCUMENT, NOTE if small_file.suffix == ".tflite" else None)

    after = small_file.read_bytes()
    assert before in after
    if small_file.suffix == ".tflite":
        # Weights stay aligned, and references forward stay forward.
        assert after.index(before) % ALIGNMENT == 0


def test_a_second_document_takes_the_place_of_the_first(small_file):
    embed(small_file, {"model": "old", "long": "x" * 999})
    embed(small_file, DOCUMENT)
    assert extract(small_file)["model"] == "tiny"
    assert "long" not in extract(small_file)
    embed(small_file, {"model": "third"})
    assert extract(small_file)["model"] == "third"


def test_a_document_that_is_too_long_is_refused(small_file):
    before = small_file.read_bytes()
    with pytest.raises(ValueError, match="may have 1048576 bytes, got"):
        embed(small_file, {"long": "x" * (1 << 20)})
    assert small_file.read_bytes() == before


def test_other_bytes_under_the_document_are_noticed(small_file):
    embed(small_file, DOCUMENT)
    content = bytearray(small_file.read_bytes())
    place = content.index(b"test" if small_file.suffix == ".onnx" else b"1.14.0")
    content[place] ^= 1
    small_file.write_bytes(content)
    with pytest.raises(
        ValueError, match="not the file that the contract inside was written"
    ):
        extract(small_file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"\xff\xfe\xfd", "is not valid JSON"),
        (b"[1]", "is no JSON object"),
        (b"{}", "not the file that the contract inside was written for"),
        (b"x" * ((1 << 20) + 1), "it may have 1048576"),
    ],
)
@pytest.mark.parametrize("kind", [tflite, onnx])
def test_a_document_of_somebody_else_is_named(tmp_path, kind, text, message):
    original = small_tflite() if kind is tflite else small_onnx()
    path = tmp_path / ("x.tflite" if kind is tflite else "x.onnx")
    path.write_bytes(kind.with_text(original, text, None)[0])
    with pytest.raises(ValueError, match=message):
        extract(path)


def test_files_of_another_kind_hold_nothing(tmp_path):
    for name, content in {
        "empty.tflite": b"",
        "short.tflite": b"TFL",
        "other.tflite": b"some network",
        "empty.onnx": b"",
        "x.keras": b"PK",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert extract(path) is None
    with pytest.raises(ValueError, match="is not a file to embed in"):
        embed(tmp_path / "x.keras", DOCUMENT)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        extract(tmp_path / "none.tflite")


def test_every_truncated_file_is_named_or_holds_nothing(small_file):
    embed(small_file, DOCUMENT)
    whole = small_file.read_bytes()
    num_named = 0
    lengths = range(0, len(whole), 5)
    for length in lengths:
        small_file.write_bytes(whole[:length])
        try:
            assert extract(small_file) is None
        except ValueError:
            num_named += 1
    assert num_named > len(lengths) / 4


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_hostile_bytes_give_an_error_or_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("hostile")
    suffix = data.draw(st.sampled_from([".tflite", ".onnx"]))
    path = folder / f"x{suffix}"
    path.write_bytes(small_tflite() if suffix == ".tflite" else small_onnx())
    embed(path, DOCUMENT)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 4))
        number = data.draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
        struct.pack_into("<I", content, place, number)
    path.write_bytes(content)
    try:
        found = extract(path)
    except ValueError:
        return
    assert found is None or found["model"] == "tiny"


def test_lists_of_millions_are_not_read():
    content = bytearray(small_tflite())
    reader = Reader(memoryview(bytes(content)))
    position = reader.field(reader.follow(0), 6)
    struct.pack_into("<I", content, reader.follow(position), 1 << 20)
    content += bytes(4 << 20)
    with pytest.raises(ValueError, match="a list of 1048576 tables"):
        tflite.find_text(memoryview(content))


def test_weights_outside_the_flatbuffer_are_not_moved(tmp_path):
    model = {0: Number(3), 4: [{}, {1: Number(4096), 2: Number(10)}]}
    path = tmp_path / "large.tflite"
    path.write_bytes(write(model, b"TFL3")[0])
    with pytest.raises(ValueError, match="weights lie outside the flatbuffer"):
        embed(path, DOCUMENT)


def test_floats_are_written():
    content, _ = write({0: Floats([1.5, -2.0])}, b"TEST")
    reader = Reader(memoryview(content))
    start, length = reader.vector(reader.field(reader.follow(0), 0), 4)
    assert struct.unpack_from(f"<{length}f", content, start) == (1.5, -2.0)


@pytest.mark.parametrize("kind", ["int8", "float32", "onnx"])
def test_files_run_as_before(exported, tmp_path, kind):
    from keras_pose.runtime.loading import open_backend

    source = exported.paths[kind]
    path = tmp_path / f"copy{source.suffix}"
    stripped = without_contract(source)
    path.write_bytes(stripped)
    before = open_backend(path, 1)
    expected = before.run_all(exported.crops[:1])
    embed(path, DOCUMENT, NOTE)

    after = open_backend(path, 1)
    assert (after.input, after.outputs) == (before.input, before.outputs)
    for name, values in after.run_all(exported.crops[:1]).items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("kind", ["int8", "float16", "onnx"])
def test_a_file_alone_is_all_it_takes(exported, tmp_path, kind):
    from keras_pose.runtime import load_model

    source = exported.paths[kind]
    alone = tmp_path / f"renamed{source.suffix}"
    alone.write_bytes(source.read_bytes())
    model, expected = load_model(alone, num_threads=1), load_model(source, num_threads=1)
    assert model.contract == expected.contract
    crops = exported.crops[:2]
    np.testing.assert_array_equal(model.predict(crops), expected.predict(crops))


def test_the_new_root_passes_the_verifier_of_phones(exported):
    # The interpreter does not verify; this one does, as LiteRT in apps and browsers.
    from ai_edge_litert.compiled_model import CompiledModel

    model = CompiledModel.from_file(str(exported.paths["int8"]))
    assert model.get_signature_list()["serve"]["inputs"] == ["image"]


def without_contract(path) -> bytes:
    """Returns what the exporter embedded the contract into."""
    content = path.read_bytes()
    if path.suffix == ".tflite":
        # After the new root, and before the archive of labels.
        return content[content.index(b"TFL3", 8) - 4 : content.rindex(b"PK\3\4")]
    import onnx as onnx_package

    model = onnx_package.load_from_string(content)
    del model.metadata_props[:]
    return model.SerializeToString()


def test_other_tools_read_the_official_metadata(exported):
    from ai_edge_litert import schema_py_generated as schema

    path = exported.paths["int8"]
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    entries = {
        entry.name.decode(): model.buffers[entry.buffer].data for entry in model.metadata
    }
    assert {"min_runtime_version", "TFLITE_METADATA", "KERAS_POSE_CONTRACT"} <= set(entries)
    assert json.loads(bytes(entries["KERAS_POSE_CONTRACT"]))["model"] == "tiny"

    official = bytes(entries["TFLITE_METADATA"])
    assert official[4:8] == b"M001"
    reader = Reader(memoryview(official))
    root = reader.follow(0)
    assert reader.text(root, 0) == b"tiny"
    graph = reader.table(root, 3, 0)
    image, heatmaps = reader.table(graph, 2, 0), reader.table(graph, 3, 0)
    assert (reader.text(image, 0), reader.text(heatmaps, 0)) == (b"image", b"heatmaps")
    label_file = reader.text(reader.table(heatmaps, 6, 0), 0).decode()
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [label_file]
        assert archive.read(label_file) == b"nose\nleft_hip\nright_hip\n"


def test_onnx_runtime_sees_the_property(exported):
    import onnx as onnx_package

    model = onnx_package.load(exported.paths["onnx"])
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["keras_pose_contract"])["model"] == "tiny"
