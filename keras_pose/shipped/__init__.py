"""The models that come with the package: one that finds people, one for their keypoints.

`export/ship.py` writes the files of this folder: `.tflite` in int8 and float16, their
contracts (`pose_model.json`), the networks as `.keras` files with rounded kernels, to train
on, model cards that say on which data they were trained and what was measured, and
`shipped.json`, which says what is taken by default.
"""

from __future__ import annotations

from pathlib import Path

from keras_pose.files import read_json

FOLDER = Path(__file__).parent
INDEX_NAME = "shipped.json"
POSE, DETECTOR = "pose", "detector"
KINDS = (POSE, DETECTOR)
QUANTIZATIONS = ("int8", "float16")
# The word that `create_model` and presets have for these models.
SHIPPED = "shipped"


def shipped_file(
    kind: str, quantization: str | None = None, folder: Path | None = None
) -> Path:
    """Returns a model file that came with the package; its contract lies beside it.

    Args:
        kind: one of `KINDS`.
        quantization: one of `QUANTIZATIONS`; None for what was measured to be the
            better choice.
        folder: folder of the files; None for the package's own.

    Raises:
        FileNotFoundError: when this copy of the package has no models; says what to
            name instead.
        ValueError: for another kind or quantization.
    """
    folder = folder or FOLDER
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
    index = folder / INDEX_NAME
    if not index.is_file():
        raise FileNotFoundError(
            f"This copy of keras_pose comes without models: {_WAYS[kind]}"
        )
    entry = read_json(index)[kind]
    quantization = quantization or entry["default"]
    if quantization not in entry["files"]:
        raise ValueError(
            f"quantization must be one of {sorted(entry['files'])}, got {quantization!r}."
        )
    return folder / entry["files"][quantization]


def shipped_network(kind: str, folder: Path | None = None) -> Path | None:
    """Returns the `.keras` file of a shipped model, to train on; None where none came.

    Args:
        kind: one of `KINDS`.
        folder: folder of the files; None for the package's own.
    """
    folder = folder or FOLDER
    index = folder / INDEX_NAME
    entry = read_json(index)[kind] if index.is_file() else {}
    return folder / entry["network"] if "network" in entry else None


def network_of_model(model: str, folder: Path | None = None) -> Path:
    """Returns the `.keras` file that is shipped of a network.

    Args:
        model: zoo name.
        folder: folder of the files; None for the package's own.

    Raises:
        ValueError: for a network that is not shipped so; names those that are.
    """
    folder = folder or FOLDER
    index = folder / INDEX_NAME
    entries = read_json(index).values() if index.is_file() else ()
    known = {each["model"]: each["network"] for each in entries if "network" in each}
    if model not in known:
        names = ", ".join(known) or "none in this copy"
        raise ValueError(
            f"The weights {SHIPPED!r} come with the package. It has those of {names}; "
            f"got {model}."
        )
    return folder / known[model]


def shipped_box_threshold(folder: Path | None = None) -> float | None:
    """Returns the score from which the shipped detector's boxes are best believed.

    Measured when it was shipped; None where there is none.
    """
    index = (folder or FOLDER) / INDEX_NAME
    return read_json(index)[DETECTOR]["box_threshold"] if index.is_file() else None


# Advice where there is no shipped file.
_WAYS = {
    POSE: 'name one, as --weights FILE or PoseEstimator("pose.tflite"). (--runs-dir runs '
    "takes the newest you trained.)",
    DETECTOR: "name a detector, as --detector FILE or PoseEstimator(detector=...), or "
    "give boxes, or take each picture as one person: --whole-image, "
    'detector="whole image".',
}
