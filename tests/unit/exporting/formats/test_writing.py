import dataclasses
import errno
import shutil
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from exported_files import BGR, smooth_crops, tiny_model
from light_model import make_model
from says import Says

from keras_pose.contracts.detector import DetectorContract
from keras_pose.contracts.entries import CONTRACT_NAME
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats import writing
from keras_pose.exporting.formats.table import FORMATS, export_formats, get_format
from keras_pose.exporting.formats.writing import Draft, write_export
from keras_pose.exporting.quantization.calibration import NUM_CHECK_CROPS


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def older(exported, tmp_path):
    """A good export with its contract, and its bytes; the next one is to take its place."""
    path = tmp_path / "pose.tflite"
    reference = writing.Reference(exported.model, exported.contract, exported.crops)
    write_export(path, lambda temporary: copy(exported, temporary), reference)
    return path, path.read_bytes(), path.with_name(CONTRACT_NAME).read_bytes()


def copy(exported, temporary, kind="float32"):
    shutil.copy(exported.paths[kind], temporary)
    return Draft(read_contract(exported.paths[kind]))


def check_untouched(older):
    path, content, contract = older
    assert path.read_bytes() == content
    assert path.with_name(CONTRACT_NAME).read_bytes() == contract
    assert len(list(path.parent.iterdir())) == 2
    read_contract(path)


def full_disk_of_tensorflow(*_):
    raise tf.errors.ResourceExhaustedError(None, None, "a/b; No space left on device")


@pytest.mark.parametrize("write", [full_disk, full_disk_of_tensorflow])
def test_full_disk_while_converting_leaves_the_older_export(older, exported, write):
    reference = writing.Reference(exported.model, exported.contract, exported.crops)
    with Says(
        "No space left while writing ... pose.tflite",
        do="Make room on the disk; the older file is still there.",
    ).refuses():
        write_export(older[0], write, reference)
    check_untouched(older)


def test_full_disk_at_the_contract_puts_the_older_export_back(older, exported, monkeypatch):
    reference = writing.Reference(exported.model, exported.contract, exported.crops)
    monkeypatch.setattr(writing, "write_contract", full_disk)
    with pytest.raises(OSError, match="what stood there is as it was"):
        write_export(
            older[0],
            lambda temporary: copy(exported, temporary, "float16"),
            reference,
        )
    check_untouched(older)


def test_full_disk_at_the_contract_leaves_nothing_where_nothing_was(
    exported, tmp_path, monkeypatch
):
    reference = writing.Reference(exported.model, exported.contract, exported.crops)
    monkeypatch.setattr(writing, "write_contract", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_export(
            tmp_path / "a.tflite",
            lambda temporary: copy(exported, temporary),
            reference,
        )
    assert not list(tmp_path.iterdir())


def test_every_format_says_how_its_file_is_called():
    assert {row.suffix for row in FORMATS.values()} == {".tflite", ".onnx"}
    kinds = [(row.suffix, row.quantization) for row in FORMATS.values()]
    assert len(set(kinds)) == len(kinds)
    assert all(row.quantization in writing.MAX_ERROR for row in FORMATS.values())


def test_a_network_trained_in_mixed_precision_is_compared_in_float32(exported, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = tiny_model()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    rounded = model(BGR(exported.crops))[-1].numpy()
    limit = writing.MAX_ERROR["float32"]
    # In half precision it is no measure of a float32 file.
    assert relative_error(rounded, exported.heatmaps(exported.crops)) > limit
    paths = {"float32": tmp_path / "a.tflite", "onnx_float32": tmp_path / "a.onnx"}
    exports = export_formats(model, exported.contract, paths, exported.crops)
    assert all(export.error < limit for export in exports.values())


def test_a_network_is_exported_in_the_process_that_trained_it_in_mixed_precision(
    exported, tmp_path
):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        paths = {"int8": tmp_path / "a.tflite"}
        # More than are compared on: channels are measured, too.
        exports = export_formats(tiny_model(), exported.contract, paths, smooth_crops(20))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert exports["int8"].error < 0.1


def test_outputs_for_calibration_alone_are_not_held(exported, monkeypatch):
    one_by_one, made, num_held = writing.outputs_one_by_one, [], []

    def watched(*arguments):
        for outputs in one_by_one(*arguments):
            made.append(weakref.ref(outputs[0]))
            yield outputs
            del outputs
            num_held.append(sum(each() is not None for each in made))

    monkeypatch.setattr(writing, "outputs_one_by_one", watched)
    reference = writing.Reference(exported.model, exported.contract, smooth_crops(20))
    assert reference.peaks
    assert len(num_held) == 20
    # The last one by the loop itself.
    assert max(num_held) == NUM_CHECK_CROPS + 1
    assert len(reference.outputs[0]) == NUM_CHECK_CROPS


def test_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"format must be one of float32.*got 'int2'"):
        get_format("int2")


def test_format_and_file_name_must_fit(exported, tmp_path):
    with Says(
        "onnx_int8 file must end in .onnx", do="Name the output as the format demands."
    ).refuses():
        export_formats(
            exported.model,
            exported.contract,
            {"onnx_int8": tmp_path / "a.tflite"},
            exported.crops,
        )


def detector_draft():
    def spec(name, side, channels):
        return TensorSpec(name, (1, side, side, channels), "float32")

    contract = DetectorContract(
        "detector", spec("image", 64, 3), (spec("s", 8, 1),), (spec("d", 8, 4),), (8,),
        quantization="float16",
    )  # fmt: skip
    return Draft(contract)


def test_detector_is_held_to_its_boxes_where_its_background_is_off():
    rng = np.random.default_rng(0)
    scores, distances = rng.normal(-9, 1, (1, 8, 8, 1)), rng.uniform(1, 64, (1, 8, 8, 4))
    scores[:, 3, 3] = 1.0
    elsewhere, here = distances * 1.1, distances.copy()
    elsewhere[:, 3, 3] = distances[:, 3, 3]
    here[:, 3, 3] *= 1.1

    error = writing._limited_error(
        [scores, elsewhere], [scores, distances], detector_draft()
    )

    assert error < 1e-3
    with pytest.raises(ExportError, match=r"must be at most 0.01, got 0\.\d"):
        writing._limited_error([scores, here], [scores, distances], detector_draft())


def pose_draft(quantization):
    contract = make_model().contract
    return Draft(dataclasses.replace(contract, quantization=quantization))


def test_int8_maps_may_differ_where_keypoints_do_not():
    draft = pose_draft("int8")
    height, width = draft.contract.codec.heatmap_hw
    expected = np.zeros((4, height, width, 17), np.float32)
    for i in range(4):
        expected[i, 1 + i, 1 + i] = 1.0
    blurred = expected + np.where(expected == 0, 0.12, 0.0).astype(np.float32)

    error = writing._limited_error([blurred], [expected], draft)

    assert relative_error(blurred, expected) > draft.error_limit > error
    with pytest.raises(ExportError, match=r"must be at most 0.3, got 1"):
        writing._limited_error([np.roll(expected, 1, axis=0)], [expected], draft)
    with pytest.raises(ExportError, match=r"must be at most 0.01, got 3"):
        writing._limited_error([blurred], [expected], pose_draft("float16"))
