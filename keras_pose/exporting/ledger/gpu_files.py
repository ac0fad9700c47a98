"""Networks for phones as float16 files, and what a phone's GPU leaves of them to the CPU.

Where weights are known, the file is run on photographs, too: a GPU computes in half
precision, in which nothing is larger than 65504.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.exporting.quantization.half_precision import MOST_FLOAT16, largest_value
from keras_pose.exporting.subprocesses import call_in_child

GPU = "GPU"
# Networks that phones are given: small ones of all families that people use there.
PHONE_NETWORKS = (
    "pose_slim",
    "pose_lite",
    "rtmdet_lite0",
    "openpose_lite",
    "tiny_pose",
    "lite_hrnet_18",
    "lite_hrnet_30",
    "rtmpose_t",
    "rtmpose_s",
    "rtmdet_nano",
    "rtmo_t",
    "simple_baseline_mobilenet_v2",
    "simple_baseline_mobilenet_v2_resize",
    "vitpose_s_simple",
    "vitpose_s",
)
SEED = 0


@dataclass(frozen=True)
class GpuFile:
    """One network as a float16 file.

    Attributes:
        model: zoo name.
        input_hw: (height, width), pixels.
        weights: name of the `.keras` file; None for random weights.
        num_operators: operators that compute.
        num_taken: number of them that the GPU takes.
        fallen: "KIND: reason" -> how many operators stay on the CPU for it.
        largest: largest magnitude of any tensor on the photographs; None for random
            weights.
    """

    model: str
    input_hw: tuple[int, int]
    weights: str | None
    num_operators: int
    num_taken: int
    fallen: dict[str, int]
    largest: float | None

    @property
    def is_clean(self) -> bool:
        """True if the GPU takes all operators, and no tensor is known to overflow."""
        fits = self.largest is None or self.largest <= MOST_FLOAT16
        return not self.fallen and fits


def audit_for_gpu(network: str, pictures: Sequence[str] = ()) -> GpuFile:
    """Converts a network in a process of its own, and asks the GPU's rules.

    Args:
        network: zoo name, for random weights, or path of a `.keras` file.
        pictures: paths of the photographs to look for large values on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no such model, or it cannot be converted.
    """
    values = call_in_child(f"{__name__}:audit_here", network, list(pictures))
    return GpuFile(**{**values, "input_hw": tuple(values["input_hw"])})


def audit_here(network: str, pictures: Sequence[str]) -> dict[str, Any]:
    """Does the work of `audit_for_gpu` in this process."""
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    import keras

    from keras_pose.exporting.inputs import open_source
    from keras_pose.weights.provenance import file_contract_of, runnable_network
    from keras_pose.zoo import build_model

    if network.endswith(".keras"):
        source = open_source(network)
        file = audit_model(source.model, source.contract, pictures)
        return {**file, "weights": source.path.name}
    keras.utils.set_random_seed(SEED)
    model = runnable_network(build_model(network))
    return audit_model(model, file_contract_of(model))


def audit_model(model, contract, pictures: Sequence[str] = ()) -> dict[str, Any]:
    """Audits a network's float16 file.

    Args:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        pictures: paths of photographs; none for weights of which values mean nothing.

    Returns:
        The fields of a `GpuFile`, with no name of weights.
    """
    import cv2
    import numpy as np

    from keras_pose.exporting.formats.tflite_export import TFLiteConversion
    from keras_pose.exporting.inspection.audit import Audit, audit_here
    from keras_pose.pictures.images import read_image

    height, width = contract.input_hw
    crops = [
        cv2.resize(read_image(path), (width, height), interpolation=cv2.INTER_AREA)
        for path in pictures
    ]
    stacked = np.array(crops, np.uint8).reshape(-1, height, width, 3)
    conversion = TFLiteConversion(model, contract, stacked[:0])  # which warns of no value
    content = conversion.quantized_model("float16")
    if conversion.inner_outputs:
        content = conversion.without_outputs(content, conversion.inner_outputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float16.tflite"
        path.write_bytes(conversion.pack(content))
        delegates = Audit.from_dict(audit_here(str(path))).delegates
    (gpu,) = (each for each in delegates if each.name == GPU)
    largest = None
    if pictures:
        largest, _ = largest_value(conversion.float_model, stacked)
    return {
        "model": contract.model,
        "input_hw": list(contract.input_hw),
        "weights": None,
        "num_operators": gpu.num_operators,
        "num_taken": gpu.num_taken,
        "fallen": gpu.fallen,
        "largest": largest,
    }


COLUMNS = {
    "network": "",
    "input": "",
    "weights": "",
    "operators": "d",
    "on the GPU": "d",
    "left to the CPU": "",
    "largest value": ".0f",
}


def row_of(file: GpuFile) -> list[Any]:
    """Returns a row of the table, a cell for each of `COLUMNS`."""
    height, width = file.input_hw
    return [
        file.model,
        f"{height}x{width}",
        file.weights or "random",
        file.num_operators,
        file.num_taken,
        _left(file.fallen) or "nothing",
        file.largest,
    ]


def _left(fallen: dict[str, int]) -> str:
    """Returns what is left to the CPU, such as "no such operator: TOPK_V2, 2 LESS"."""
    kinds: dict[str, Counter] = {}
    for words, count in fallen.items():
        kind, _, reason = words.partition(": ")
        reason = reason.partition(" of (")[0]  # shapes tell little in a table
        kinds.setdefault(reason, Counter())[kind] += count
    return "; ".join(
        f"{reason}: {', '.join(k if n == 1 else f'{n} {k}' for k, n in counts.items())}"
        for reason, counts in kinds.items()
    )
