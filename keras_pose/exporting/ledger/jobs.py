"""The steps of a ledger, each to be run in a process of its own (`exporting.subprocesses`).

They take and return values that JSON can hold, and leave files behind.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.contracts.activation_ranges import read_ranges, set_ranges
from keras_pose.contracts.detector import read_model_contract
from keras_pose.files import atomic_path, write_json

SEED = 0
NUM_PROFILE_RUNS = 10


def prepare(
    weights: str | None,
    model: str | None,
    num_keypoints: int | None,
    input_hw: list[int] | None,
    output: str,
    skeleton: str | None = None,
) -> dict[str, Any]:
    """Saves the float model that everything is compared with, as a `.keras` file.

    Args:
        weights: file or word that `inputs.open_source` takes; None for random weights of
            `model`.
        model: zoo name.
        num_keypoints: number of keypoints of the model; `input_hw` is its (height, width)
            in pixels.
        output: path of the file to write.
        skeleton: name or file of the keypoints, of weights that do not say them.

    Returns:
        The zoo's name of the model.
    """
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    from keras_pose.contracts.entries import save_keras_model
    from keras_pose.data.mixing import load_skeleton
    from keras_pose.exporting.inputs import open_source

    size = tuple(input_hw) if input_hw else None
    if weights is None:
        network, contract = _seeded(model, num_keypoints, size)
    else:
        named = load_skeleton(skeleton) if skeleton else None
        source = open_source(weights, "runs", model, num_keypoints, size, named)
        network, contract = source.model, source.contract
    save_keras_model(network, output, contract)
    return {"model": contract.model}


def _seeded(name, num_keypoints, input_hw):
    """Builds a network with random weights that are the same every time."""
    import keras

    from keras_pose.weights.provenance import file_contract_of, runnable_network
    from keras_pose.zoo import build_model

    keras.utils.set_random_seed(SEED)
    network = runnable_network(build_model(name, num_keypoints, input_hw))
    return network, file_contract_of(network)


def cut_calibration(
    source: str, recipe: dict[str, Any], data: dict[str, Any] | None, count: int, path: str
) -> dict[str, Any]:
    """Cuts the crops that calibrate integer files, for all formats the same.

    Args:
        source: the float model.
        recipe: recipe of the training; {} where that is not known.
        data: keywords of the set that is measured on: its training split is taken where
            that of the recipe is not there.
        count: crops wanted.
        path: `.npy` file to write them to.
    """
    from keras_pose.exporting.inputs import skeleton_of
    from keras_pose.exporting.quantization.calibration import calibration_crops

    contract = read_model_contract(source)
    people, description = _calibration_people(recipe, data, skeleton_of(contract))
    crops = calibration_crops(people, contract, count, SEED)
    with atomic_path(path) as temporary:
        np.save(temporary, crops)
    return {"count": len(crops), "description": description}


def _reading(values):
    """Returns what a recipe, or the data of a ledger, says of a file in COCO's format."""
    from keras_pose.data.readers.coco import Reading

    return Reading(values.get("category"), values.get("rescale_labels", False))


def _calibration_people(recipe, data, skeleton):
    """Opens what the model was trained on, what it is measured on, or drawn people."""
    from keras_pose.exporting.inputs import calibration_source

    for known in (recipe, data or {}):
        if "dataset" in known:
            try:
                return calibration_source(
                    recipe,
                    known["dataset"],
                    known.get("data_dir"),
                    skeleton,
                    _reading(known),
                )
            except (FileNotFoundError, ValueError):
                continue  # not on this machine
    return calibration_source(recipe, skeleton=skeleton)


def write_formats(
    source: str,
    paths: dict[str, str],
    crops_path: str,
    range_rule: dict[str, Any],
    results: str,
) -> dict[str, Any]:
    """Writes the files of some formats that share a conversion, one after the other.

    What became of each stands in `results`, a JSON file, as soon as it is known: a format
    that takes the process down does not take the others' with it.

    Args:
        source: the float model, a `.keras` file.
        paths: format -> where its file goes; all of one suffix.
        crops_path: file of crops that `cut_calibration` wrote.
        range_rule: entries of a `RangeRule`, of integer files.
        results: format -> {"error": of the outputs, "seconds", "num_float_ops"} or
            {"failure": reason}.
    """
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    from keras_pose.exporting.formats.onnx_export import OnnxConversion
    from keras_pose.exporting.formats.table import FORMATS
    from keras_pose.exporting.formats.tflite_export import TFLiteConversion
    from keras_pose.exporting.quantization.measured_ranges import RangeRule
    from keras_pose.runtime.keras_backend import load_network

    rule = RangeRule(**range_rule)
    suffix = FORMATS[next(iter(paths))].suffix
    convert = TFLiteConversion if suffix == ".tflite" else OnnxConversion
    network = load_network(source)
    set_ranges(network, read_ranges(source))
    conversion = convert(network, read_model_contract(source), np.load(crops_path))
    done: dict[str, Any] = {}
    for name, path in paths.items():
        start = time.perf_counter()
        try:
            export = conversion.write(path, FORMATS[name].quantization, range_rule=rule)
        except (ValueError, OSError, ImportError) as error:
            done[name] = {"failure": str(error)}
        else:
            seconds = time.perf_counter() - start
            count = len(export.contract.float_operators)
            done[name] = {
                "error": float(export.error),
                "seconds": seconds,
                "num_float_ops": count,
            }
        write_json(results, done)
    return done


def evaluate_file(path: str, data: dict[str, Any], keypoints_path: str) -> dict[str, Any]:
    """Measures one file by the evaluator that measures all others.

    Args:
        path: `.keras`, `.tflite` or `.onnx`, with its contract.
        data: "dataset", "data_dir", "split", "limit" (images, or None) and "flip_test";
            where they are given, "sigmas", "category" and "rescale_labels".
        keypoints_path: `.npz` file for the predictions, to be compared with the float
            model's; detectors leave none.

    Returns:
        "metric" (its name), "value", "lower_is_better", "protocol" (one line), "reason"
        (why it is not the set's official metric; absent or "" if it is), and what
        `training/evaluate.py` writes, as "measurement".
    """
    from keras_pose.measuring import MeasureSettings
    from keras_pose.measuring.tasks import NOTHING_SAID, POSE, skeleton_of, task_of

    task = task_of(path)
    model = task.load(path, NOTHING_SAID)
    split: Any = task.open(MeasureSettings.from_dict(data), skeleton_of(model), None)
    measurement, result = split.measure(model, path)
    if task is POSE:
        _save_keypoints(keypoints_path, result.measured, model.contract)
    return {
        "metric": split.label,
        "value": float(measurement.value),
        "lower_is_better": split.lower_is_better,
        "protocol": measurement.describe_data(),
        "reason": split.reason,
        "measurement": measurement.to_dict(),
    }


def _save_keypoints(path, measured, contract) -> None:
    """Keeps predictions in pixels of the network's input, where people are of one size."""
    from keras_pose.pictures.geometry import box_to_crop

    boxes_xywh = np.stack([record.box_xywh for record in measured.records])
    _, size_wh = box_to_crop(boxes_xywh, contract.input_hw, contract.box_padding)
    scale = contract.input_hw[1] / size_wh[:, 0]
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            keypoints_xy=measured.keypoints_xy * scale[:, None, None],
            is_labelled=np.stack([r.visibility > 0 for r in measured.records]),
        )


def benchmark(
    paths: list[str], threads: list[int], num_runs: int, profiled: list[str]
) -> dict[str, Any]:
    """Times all files interleaved, and the operators of some.

    Args:
        paths: files to time.
        threads: numbers of threads.
        num_runs: measurements of each.
        profiled: files whose operators are timed, too, at the first number of threads.

    Returns:
        "rows" and "peaks" of a `Benchmark`, and "profiles": file -> "times",
        `OperatorTime`s as dicts, or the "failure" why there are none.
    """
    from keras_pose.exporting.inspection.benchmark import benchmark_files

    found = benchmark_files(paths, threads, num_runs).to_dict()
    profiles = {path: _profile(path, threads[0]) for path in profiled}
    return {**found, "profiles": profiles}


def _profile(path: str, num_threads: int) -> dict[str, Any]:
    """Times operators one by one; not all can be taken out of their graph."""
    from keras_pose.exporting.inspection.profiling import profile_file

    try:
        times = profile_file(Path(path), num_threads, NUM_PROFILE_RUNS)
    except ValueError as error:
        return {"times": [], "failure": str(error)}
    return {"times": [dataclasses.asdict(each) for each in times], "failure": None}


def keypoint_shift(float_path, path) -> dict[str, float]:
    """Compares two files' predictions of labelled keypoints.

    Returns:
        "mean", "median" and "p95" (95th percentile) of their distances, pixels of the
        network's input.

    Raises:
        ValueError: if they are not of the same people.
    """
    with np.load(float_path) as first, np.load(path) as second:
        if not np.array_equal(first["is_labelled"], second["is_labelled"]):
            raise ValueError(f"{path} holds other people than {float_path}.")
        difference = first["keypoints_xy"] - second["keypoints_xy"]
        distances = np.linalg.norm(difference, axis=-1)[first["is_labelled"]]
    if not distances.size:
        return {}
    return {
        "mean": float(distances.mean()),
        "median": float(np.median(distances)),
        "p95": float(np.percentile(distances, 95)),
    }
